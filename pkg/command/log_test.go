package command

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// logged returns what a command with the given arguments logs into a file.
func logged(t *testing.T, journal bool, args ...string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Setenv("JOURNAL_STREAM", "8:1") // another file's: it is inherited where standard error was redirected
	if journal {
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", stat.Dev, stat.Ino))
	}
	cmd := &cobra.Command{Use: "program", RunE: func(cmd *cobra.Command, _ []string) error {
		log := NewLogger(cmd)
		log.Debug().Msg("turn")
		log.Info().Str("agent", "NC1").Msg("agent recovered")
		log.Warn().Str("err", "no\nroute").Msg("NATS disconnected")
		return nil
	}}
	AddLogFlag(cmd)
	cmd.SetErr(f)
	cmd.SetArgs(args)
	if code := Run(t.Context(), cmd); code != ExitDone {
		t.Fatalf("exit code %d", code)
	}
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLogFormats(t *testing.T) {
	const date = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`
	for _, c := range []struct {
		name    string
		journal bool
		args    []string
		want    string // a regular expression
	}{
		{"a file, without colors", false, nil,
			date + " INF agent recovered agent=NC1\n" + date + ` WRN NATS disconnected err="no\\nroute"` + "\n"},
		{"journald, which has the time", true, nil,
			"<6>agent recovered agent=NC1\n" + `<4>NATS disconnected err="no\\nroute"` + "\n"},
		{"JSON", false, []string{"--log-format", "json"},
			`{"level":"info","agent":"NC1","time":"` + date + `","message":"agent recovered"}` + "\n.*\n"},
		{"JSON for journald", true, []string{"--log-format=json"}, `{"level":"info",.*}` + "\n.*\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := logged(t, c.journal, c.args...); !regexp.MustCompile("^" + c.want + "$").MatchString(got) {
				t.Errorf("logged\n%s", got)
			}
		})
	}
}

func TestLogFormatFromEnvironment(t *testing.T) {
	t.Setenv("PROBEMESH_LOG_FORMAT", "json")
	if got := logged(t, false); !strings.HasPrefix(got, "{") {
		t.Error(got)
	}
}

// TestLogHasColorsOnATerminal runs itself under script(1), which provides a terminal.
func TestLogHasColorsOnATerminal(t *testing.T) {
	if os.Getenv("LOG_TO_TERMINAL") != "" {
		cmd := &cobra.Command{Use: "program"}
		cmd.SetErr(os.Stderr)
		log := NewLogger(cmd)
		log.Info().Msg("agent recovered")
		return
	}
	if _, err := exec.LookPath("script"); err != nil {
		testenv.SkipOrFail(t, "the program script (Debian: bsdutils)")
	}
	for _, noColor := range []string{"", "1"} {
		run := exec.Command("script", "-qec", os.Args[0]+" -test.run TestLogHasColorsOnATerminal", "/dev/null")
		run.Env = append(os.Environ(), "LOG_TO_TERMINAL=1", "NO_COLOR="+noColor)
		out, err := run.Output()
		if err != nil {
			t.Fatal(err)
		}
		colored := strings.Contains(string(out), "\x1b[")
		if colored != (noColor == "") || !strings.Contains(string(out), "agent recovered") {
			t.Errorf("NO_COLOR=%s: %q", noColor, out)
		}
	}
}

func TestWrongLogFormatIsWrongUsage(t *testing.T) {
	cmd := &cobra.Command{Use: "program", RunE: func(*cobra.Command, []string) error { return nil }}
	AddLogFlag(cmd)
	cmd.SetErr(io.Discard)
	cmd.SetArgs([]string{"--log-format", "yaml"})
	if code := Run(t.Context(), cmd); code != ExitUsage {
		t.Errorf("exit code %d", code)
	}
}

func TestMessagesAreEscapedForTerminals(t *testing.T) {
	for message, want := range map[any]string{
		"agent recovered":     "agent recovered",
		"café «Lusaka»":       "café «Lusaka»",
		"bad name \x1b[2J":    `"bad name \x1b[2J"`,
		"two\nlines":          `"two\nlines"`,
		"turned \u202e round": `"turned \u202e round"`,
		nil:                   "",
	} {
		if got := escapeMessage(message); got != want {
			t.Errorf("%q is written as %s, wanted %s", message, got, want)
		}
	}
}

func TestSeverityOfEveryLevel(t *testing.T) {
	for level, want := range map[zerolog.Level]string{
		zerolog.DebugLevel: "<7>x\n", zerolog.InfoLevel: "<6>x\n",
		zerolog.WarnLevel: "<4>x\n", zerolog.ErrorLevel: "<3>x\n", zerolog.FatalLevel: "<2>x\n",
	} {
		var out strings.Builder
		log := zerolog.New(newJournalWriter(&out))
		log.WithLevel(level).Msg("x")
		if out.String() != want {
			t.Errorf("%s is logged as %q", level, out.String())
		}
	}
}
