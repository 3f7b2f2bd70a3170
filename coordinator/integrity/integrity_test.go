package integrity_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/integrity"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
)

// fake is a Bus with a ledger and summaries of some size together, and a View that remembers nothing.
type fake struct{ size uint64 }

func (f *fake) LedgerGaps(context.Context) ([]bus.Gap, error) { return nil, nil }
func (f *fake) Heads(context.Context) ([]bus.StreamInfo, error) {
	return []bus.StreamInfo{
		{Name: "OBS", Bytes: 1 << 50}, {Name: "LEDGER", Bytes: f.size / 2}, {Name: "ROLLUP", Bytes: f.size - f.size/2},
	}, nil
}
func (f *fake) RecordHeads(context.Context, []view.Head, time.Time) ([]ledger.Gap, error) {
	return nil, nil
}
func (f *fake) Gaps(context.Context) ([]ledger.Gap, error)  { return nil, nil }
func (f *fake) AddGaps(context.Context, []ledger.Gap) error { return nil }

// Operators are warned when the ledger has used half of the space that was there for it, until it has more.
func TestTheLedgersSizeIsWarnedOfAtHalf(t *testing.T) {
	f, free, warnings := &fake{}, uint64(0), map[string]string{}
	g := integrity.New(integrity.Config{
		Bus: f, View: f, Free: func() (uint64, error) { return free, nil },
		Warn: func(subject, text string) { warnings[subject] = text }, Logger: zerolog.Nop(),
	})
	for _, test := range []struct {
		size, free uint64
		warned     string
	}{
		{1 << 20, 10 << 30, ""},
		{5e9 - 1, 5e9, ""},
		{5e9, 5e9, "5 GB"},
		{5.2e9, 4.8e9, "5 GB"}, // the text stays
		{5.2e9, 100e9, ""},     // a larger disk
	} {
		f.size, free = test.size, test.free
		if err := g.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := warnings["ledger-size"]
		if (got == "") != (test.warned == "") || !strings.Contains(got, test.warned) {
			t.Errorf("%d bytes and %d free: %q", test.size, test.free, got)
		}
	}
}
