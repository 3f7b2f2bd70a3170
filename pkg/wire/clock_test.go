package wire

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/meshtime"
)

func TestAMarkOfTheClockIsReadAsItWasWritten(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 31, 0, 123456789, time.UTC)
	for _, m := range []meshtime.Mark{{Now: at}, {Offset: -10 * time.Minute, From: at, Now: at.Add(time.Second)}} {
		data, err := EncodeClock(m, 1<<63)
		if err != nil {
			t.Fatal(err)
		}
		got, epoch, err := DecodeClock(data)
		if diff := cmp.Diff(m, got); diff != "" || epoch != 1<<63 || err != nil {
			t.Errorf("%s, epoch %d, %v", diff, epoch, err)
		}
	}
	if _, _, err := DecodeClock([]byte(strings.Repeat(" ", ControlBytesMax+1))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a large mark: %v", err)
	}
	for _, data := range []string{"", "{", `{"offset":"ten"}`} {
		if _, _, err := DecodeClock([]byte(data)); err == nil {
			t.Errorf("%q is read", data)
		}
	}
}
