package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

const logFlag = "log-format"

// logFormat is the value of --log-format.
type logFormat string

const (
	formatText logFormat = "text"
	formatJSON logFormat = "json"
)

// String returns the format's name.
func (f *logFormat) String() string { return string(*f) }

// Type is shown in the help.
func (f *logFormat) Type() string { return "format" }

// Set accepts text and json.
func (f *logFormat) Set(value string) error {
	if value != string(formatText) && value != string(formatJSON) {
		return fmt.Errorf("write %s or %s", formatText, formatJSON)
	}
	*f = logFormat(value)
	return nil
}

// AddLogFlag adds --log-format, which NewLogger reads, to a command that runs for long.
func AddLogFlag(cmd *cobra.Command) {
	format := formatText
	cmd.Flags().Var(&format, logFlag, "log lines as text, or json with one object a line")
}

// NewLogger returns a command's logger, which writes to its standard error. Text has colors on a terminal and none
// elsewhere; for journald, which records the time itself, it has the severity in journald's notation instead of time
// and level. All times are UTC.
func NewLogger(cmd *cobra.Command) zerolog.Logger {
	out := cmd.ErrOrStderr()
	if f := cmd.Flags().Lookup(logFlag); f == nil || f.Value.String() != string(formatJSON) {
		out = textWriter(out)
	}
	return zerolog.New(out).Level(zerolog.InfoLevel).With().Timestamp().Logger()
}

// textWriter formats zerolog's JSON as text for what is behind out.
func textWriter(out io.Writer) io.Writer {
	text := zerolog.ConsoleWriter{
		Out: out, NoColor: true, TimeFormat: time.RFC3339, TimeLocation: time.UTC, FormatMessage: escapeMessage,
	}
	f, ok := out.(*os.File)
	switch {
	case ok && isTerminal(f):
		text.NoColor, text.TimeFormat = !InColor(out), time.TimeOnly
	case ok && isJournal(f, os.Getenv("JOURNAL_STREAM")):
		return newJournalWriter(out)
	}
	return text
}

// escapeMessage quotes a message that is not safe to print on a terminal: a library's message may contain what a peer
// sent. zerolog does the same with fields.
func escapeMessage(message any) string {
	text, _ := message.(string)
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// InColor reports whether output is for a terminal whose user did not ask for none: https://no-color.org.
func InColor(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && isTerminal(f) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// journalWriter writes lines for journald: a severity as in sd-daemon(3), the event and its fields.
type journalWriter struct {
	out io.Writer

	mu   sync.Mutex
	line bytes.Buffer
	text zerolog.ConsoleWriter // formats into line
}

func newJournalWriter(out io.Writer) *journalWriter {
	w := &journalWriter{out: out}
	w.text = zerolog.ConsoleWriter{
		Out: &w.line, NoColor: true, FormatMessage: escapeMessage,
		PartsExclude: []string{zerolog.TimestampFieldName, zerolog.LevelFieldName},
	}
	return w
}

// severities are those of syslog, which journald uses.
var severities = map[zerolog.Level]int{
	zerolog.DebugLevel: 7, zerolog.InfoLevel: 6, zerolog.WarnLevel: 4, zerolog.ErrorLevel: 3,
}

// Write writes a line without a level.
func (w *journalWriter) Write(p []byte) (int, error) { return w.WriteLevel(zerolog.InfoLevel, p) }

// WriteLevel writes one line.
func (w *journalWriter) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.line.Reset()
	severity, ok := severities[level]
	if !ok {
		severity = 2 // fatal and panic
	}
	fmt.Fprintf(&w.line, "<%d>", severity)
	if _, err := w.text.Write(p); err != nil {
		return 0, err
	}
	if _, err := w.out.Write(w.line.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}
