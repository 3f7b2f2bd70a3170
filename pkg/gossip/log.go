package gossip

import (
	"bytes"
	"log"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

// memberlist logs a complaint about every datagram that it cannot decrypt, which anybody can send. So many lines are
// logged as warnings, and the others for debugging.
const (
	warnEvery = 10 * time.Second
	warnBurst = 5
	lineMax   = 300 // bytes of a line, part of which a peer may have sent
)

// newLogger returns a logger for memberlist that writes to ours.
func newLogger(to zerolog.Logger) *log.Logger {
	return log.New(&logWriter{to: to, limit: rate.NewLimiter(rate.Every(warnEvery), warnBurst)}, "", 0)
}

type logWriter struct {
	to    zerolog.Logger
	limit *rate.Limiter
}

// Write logs one line of memberlist, at the level that its prefix names.
func (w *logWriter) Write(line []byte) (int, error) {
	level, text := zerolog.DebugLevel, bytes.TrimSpace(line)
	for _, prefix := range []string{"[WARN]", "[ERR]"} {
		if bytes.HasPrefix(text, []byte(prefix)) && w.limit.Allow() {
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
