package gossip

import (
	"bytes"
	"log"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

// Strangers' datagrams make memberlist complain of each: so many lines are written as warnings, and the rest is for
// those who debug.
const (
	warnEvery = 10 * time.Second
	warnBurst = 5
	lineMax   = 300 // bytes of a line: a part of it may be what a peer sent
)

// newLogger is a logger for memberlist that writes to ours.
func newLogger(to zerolog.Logger) *log.Logger {
	return log.New(&logWriter{to: to, limit: rate.NewLimiter(rate.Every(warnEvery), warnBurst)}, "", 0)
}

type logWriter struct {
	to    zerolog.Logger
	limit *rate.Limiter
}

// Write takes one line.
func (w *logWriter) Write(line []byte) (int, error) {
	level, text := zerolog.DebugLevel, bytes.TrimSpace(line)
	for _, mark := range []string{"[WARN]", "[ERR]"} {
		if bytes.HasPrefix(text, []byte(mark)) && w.limit.Allow() {
			level = zerolog.WarnLevel
		}
	}
	if i := bytes.IndexByte(text, ' '); bytes.HasPrefix(text, []byte("[")) && i > 0 {
		text = text[i+1:]
	}
	text = bytes.TrimPrefix(text, []byte("memberlist: "))
	w.to.WithLevel(level).Msg(string(text[:min(len(text), lineMax)]))
	return len(line), nil
}
