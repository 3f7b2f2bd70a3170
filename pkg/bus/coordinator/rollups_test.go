package coordinator_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/bus/server"
)

// Only the leader appends summaries, each after the one that it has read last, and once.
func TestRollupsAreFenced(t *testing.T) {
	s, err := server.Start(t.Context(), server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first, second := dial(t, s), dial(t, s)
	one := bus.Entry{Subject: "1-1-5", ID: "one", Data: []byte("a")}
	if _, err := first.Rollups().Append(t.Context(), one, 0); !errors.Is(err, bus.ErrNotLeading) {
		t.Error("before it leads:", err)
	}
	if err := first.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	created, last, err := first.Rollups().State(t.Context())
	if err != nil || created.IsZero() || last != 1 {
		t.Fatal("the epoch is", last, created, err)
	}
	if _, err := first.Rollups().Append(t.Context(), one, 0); !errors.Is(err, bus.ErrBehind) {
		t.Error("without the epoch:", err)
	}
	if n, err := first.Rollups().Append(t.Context(), one, 1); err != nil || n != 2 {
		t.Error(n, err)
	}
	if _, err := first.Rollups().Append(t.Context(), one, 1); !errors.Is(err, bus.ErrBehind) {
		t.Error("a repeat:", err)
	}
	two := bus.Entry{Subject: "1-6-9", ID: "two", Data: []byte("b")}
	if _, err := first.Rollups().Append(t.Context(), two, 1); !errors.Is(err, bus.ErrBehind) {
		t.Error("behind:", err)
	}
	if err := second.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, after := range []uint64{2, 3} {
		if _, err := first.Rollups().Append(t.Context(), two, after); !errors.Is(err, bus.ErrFenced) {
			t.Error("deposed, after", after, err)
		}
	}
	if n, err := second.Rollups().Append(t.Context(), two, 3); err != nil || n != 4 {
		t.Error(n, err)
	}
	var subjects []string
	err = first.Rollups().Read(t.Context(), 1, func(r bus.Record) error {
		subjects = append(subjects, r.Subject+" "+string(r.Data))
		return nil
	})
	if want := "[epoch  1-1-5 a epoch  1-6-9 b]"; err != nil || fmt.Sprint(subjects) != want {
		t.Error(subjects, err)
	}
	streams, err := first.Streams(t.Context())
	if err != nil || len(streams) != 3 || streams[2].Name != "ROLLUP" || streams[2].Messages != 4 {
		t.Error(streams, err)
	}
}
