package diskguard

import (
	"testing"

	"github.com/probemesh/probemesh/pkg/testenv"
)

func TestLevels(t *testing.T) {
	const mb, gb = 1 << 20, 1 << 30
	for _, c := range []struct {
		name       string
		free, size uint64
		reserved   bool
		want       level
	}{
		{"an empty disk", 9 * gb, 10 * gb, true, plenty},
		{"a tenth left", 900 * mb, 10 * gb, true, low},
		{"a large disk", 5 * gb, 1000 * gb, true, plenty},
		{"a large disk with little", 3 * gb, 1000 * gb, true, low},
		{"nothing left", 0, 10 * gb, true, full},
		{"some megabytes left", 15 * mb, 10 * gb, true, full},
		{"the reserve was just released", 64 * mb, 10 * gb, false, full},
		{"a little was freed", 500 * mb, 10 * gb, false, full},
		{"enough was freed", 2 * gb, 10 * gb, false, plenty},
		{"a small disk", 60 * mb, 64 * mb, true, plenty},
		{"a small disk that is full", mb / 2, 64 * mb, true, full},
	} {
		if got := levelOf(c.free, c.size, c.reserved); got != c.want {
			t.Errorf("%s: level %d, want %d", c.name, got, c.want)
		}
	}
}

// The reserve uses disk space, and a later run recognizes it.
func TestTheReserveIsFoundAgain(t *testing.T) {
	dir := t.TempDir()
	var warnings []string
	g := New(Config{Dir: dir, Warn: func(_, text string) { warnings = append(warnings, text) }})
	free, size, err := Usage(dir)
	if err != nil {
		t.Fatal(err)
	}
	if levelOf(free, size, true) != plenty {
		testenv.SkipOrFail(t, "a disk that is not almost full")
	}
	g.open()
	g.check()
	after, _, _ := Usage(dir)
	if !g.reserved || after > free {
		t.Errorf("there is no reserve: %d bytes free before, %d after", free, after)
	}
	again := New(g.Config)
	again.open()
	if !again.reserved {
		t.Error("the reserve of an earlier run is not recognized")
	}
	if len(warnings) > 0 {
		t.Error("a disk with space causes warnings:", warnings)
	}
}
