package view_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
)

// interruptedLog is a log during whose first or second answer the program is asked to end.
type interruptedLog struct {
	*log
	after     int
	interrupt func()
}

func (l *interruptedLog) answer() {
	if l.after--; l.after == 0 {
		l.interrupt()
	}
}

func (l *interruptedLog) State(ctx context.Context) (ledger.State, error) {
	l.answer()
	return l.log.State(ctx)
}

func (l *interruptedLog) Read(ctx context.Context, from uint64, fn func(ledger.Record) error) error {
	if l.answer(); ctx.Err() != nil {
		return ctx.Err()
	}
	return l.log.Read(ctx, from, fn)
}

// A start that is interrupted leaves the file as it was, with the gaps that are known from nowhere else.
func TestAnInterruptedStartDiscardsNothing(t *testing.T) {
	for _, after := range []int{1, 2} {
		file, l := filepath.Join(t.TempDir(), "view.db"), newLog()
		s := open(t, file, l)
		s.append(t, transition("a", "nc1", "smtp", "down", 10))
		gap := ledger.Gap{Stream: "OBS", First: 3, Last: 9, Tail: true}
		if err := s.view.Losses().AddGaps(t.Context(), []ledger.Gap{gap}); err != nil {
			t.Fatal(err)
		}
		s.close()
		ctx, interrupt := context.WithCancel(t.Context())
		if _, err := view.Open(ctx, file, &interruptedLog{l, after, interrupt}); err == nil {
			t.Errorf("the view is open though its start was interrupted in answer %d", after)
		}
		s = open(t, file, l)
		if gaps, err := s.view.Losses().Gaps(t.Context()); err != nil || len(gaps) != 1 {
			t.Errorf("interrupted in answer %d, the view has the gaps %+v: %v", after, gaps, err)
		}
		if all, err := s.view.Transitions(t.Context(), "nc1", time.Time{}, 9); err != nil || len(all) != 1 {
			t.Errorf("interrupted in answer %d, the view has the transitions %+v: %v", after, all, err)
		}
	}
}
