package health_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
)

func TestAWarningIsLoggedOncePerChange(t *testing.T) {
	var log bytes.Buffer
	w := health.NewWarnings(zerolog.New(&log))
	w.SetFileProblems([]string{"line 1 is wrong"})
	for range 3 {
		w.Warn("disk", "disk full")
		w.Warn("clock", "clock off")
	}
	if got := w.List(); !slices.Equal(got, []string{"line 1 is wrong", "clock off", "disk full"}) {
		t.Errorf("%q", got)
	}
	if n := strings.Count(log.String(), "disk full"); n != 1 {
		t.Errorf("raised %d times in the log", n)
	}
	w.SetFileProblems(nil)
	for range 2 {
		w.Warn("disk", "")
		w.Warn("clock", "")
	}
	if n := strings.Count(log.String(), "warning cleared"); n != 2 || len(w.List()) > 0 {
		t.Errorf("cleared %d times in the log, left %q", n, w.List())
	}
}
