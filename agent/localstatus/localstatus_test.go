package localstatus_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/localstatus"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// Programs read the agent's log as JSON, so what the HTTP server itself reports must be JSON, too.
func TestErrorsOfTheServerAreLoggedAsJSON(t *testing.T) {
	dir, out := t.TempDir(), &testenv.Log{}
	l, err := localstatus.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- localstatus.Serve(ctx, l, zerolog.New(out), func(context.Context) (int, error) { panic("a mistake") })
	}()
	if _, err := localstatus.Status[int](t.Context(), dir); err == nil {
		t.Error("a handler that panics answers")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(out.String()) {
		var fields struct{ Level, Message string }
		if err := json.Unmarshal([]byte(line), &fields); err != nil || fields.Level != "warn" ||
			!strings.Contains(fields.Message, "a mistake") {
			t.Errorf("logged %q: %v", line, err)
		}
	}
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("logged %q", out)
	}
}
