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
		held       bool
		want       level
	}{
		{"an empty disk", 9 * gb, 10 * gb, true, plenty},
		{"a tenth left", 900 * mb, 10 * gb, true, low},
		{"a large disk", 5 * gb, 1000 * gb, true, plenty},
		{"a large disk with little", 3 * gb, 1000 * gb, true, low},
		{"nothing left", 0, 10 * gb, true, full},
		{"some megabytes left", 15 * mb, 10 * gb, true, full},
		{"the reserve was just given back", 64 * mb, 10 * gb, false, full},
		{"a little was freed", 500 * mb, 10 * gb, false, full},
		{"enough was freed", 2 * gb, 10 * gb, false, plenty},
		{"a small disk", 60 * mb, 64 * mb, true, plenty},
		{"a small disk that is full", mb / 2, 64 * mb, true, full},
	} {
		if got := judge(c.free, c.size, c.held); got != c.want {
			t.Errorf("%s: %d, wanted %d", c.name, got, c.want)
		}
	}
}

// What was given back makes room, and is taken again when there is room for both.
func TestTheReserveComesAndGoes(t *testing.T) {
	dir := t.TempDir()
	var said []string
	w := New(Config{Dir: dir, Warn: func(_, text string) { said = append(said, text) }})
	free, size, err := Of(dir)
	if err != nil {
		t.Fatal(err)
	}
	if judge(free, size, true) != plenty {
		testenv.Missing(t, "a disk that is not almost full")
	}
	w.open()
	w.look()
	after, _, _ := Of(dir)
	if !w.held || after > free {
		t.Errorf("no reserve is held: %d bytes free before, %d after", free, after)
	}
	again := New(w.Config)
	again.open()
	if !again.held {
		t.Error("the reserve of an earlier run is not known")
	}
	if len(said) > 0 {
		t.Error("there is nothing to say, but:", said)
	}
}
