package command

import (
	"bytes"
	"os"
	"testing"
)

// Programs read whole lines from pipes and files.
func TestOnlyATerminalHasAWidth(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if width := Width(w); width != Unlimited {
		t.Errorf("a pipe has %d columns", width)
	}
	if width := Width(&bytes.Buffer{}); width != Unlimited {
		t.Errorf("a buffer has %d columns", width)
	}
}
