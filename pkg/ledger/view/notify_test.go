package view_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
)

// A notifier that starts gets what is recent, and all about outages and advisories that last, however long ago it was
// sent; of an advisory that is over, how often it was.
func TestWhatWasSentAboutWhatLasts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "view.db")
	v, err := view.Open(t.Context(), file, newLog())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	const never = 1<<63 - 1
	execute(t, file, fmt.Sprintf(`INSERT INTO incidents (id, opened, resolved, public, merged, data)
		VALUES ('lasts', 1, %d, 1, '', '{}'), ('over', 1, 2, 1, '', '{}')`, never))
	for n, e := range []ledger.NotifyEvent{
		{ID: "m0", Alert: "lasts", Step: "opened"},
		{ID: "m1", Alert: "lasts-0123456789ab", Step: "opened"},
		{ID: "m2", Alert: "over", Step: "opened"},
		{ID: "m3", Alert: "advisory-disk", Step: "opened", Channel: "a"},
		{ID: "m4", Alert: "advisory-disk", Step: "opened", Channel: "b"},
		{ID: "m5", Alert: "advisory-lag", Step: "opened"},
		{ID: "m6", Alert: "advisory-lag", Step: "over"},
		{ID: "m7", Alert: "advisory-pause-1", Step: "over"},
		{ID: "m8", Alert: "over", Step: "over", At: time.Unix(2000, 0)},
	} {
		e.Action = ledger.NotifySent
		if e.At.IsZero() {
			e.At = time.Unix(int64(n), 0)
		}
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		execute(t, file, fmt.Sprintf(`INSERT INTO notified (action, id, alert, at, data)
			VALUES ('%s', '%s', '%s', %d, x'%x')`, e.Action, e.ID, e.Alert, e.At.UnixNano(), data))
	}
	events, err := v.Notified().Since(t.Context(), time.Unix(1000, 0))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.ID)
	}
	if want := []string{"m0", "m1", "m3", "m4", "m6", "m8"}; !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}
