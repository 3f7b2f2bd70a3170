package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/errkind"
)

var midnight = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func openMoments(t *testing.T, dir string) *Moments {
	t.Helper()
	m, err := OpenMoments(dir, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// saveAt has the judge save a state with the time as its sequence, if it is due after the work.
func saveAt(t *testing.T, m *Moments, at time.Time, work int) (saved bool) {
	t.Helper()
	if !m.due(at, work) {
		return false
	}
	state := savedMoment{moment: moment{at: at, sequence: uint64(at.Sub(midnight) / time.Second)}, data: []byte("state")}
	if err := m.store(state); err != nil {
		t.Fatal(err)
	}
	return true
}

// A busy mesh saves more often than a quiet one, and a judge of much state not all the time.
func TestStatesAreSavedByWork(t *testing.T) {
	for _, test := range []struct {
		perSecond, size int
		want            time.Duration
	}{
		{1, 0, momentEvery}, {momentWork / 60, 0, time.Minute}, {momentWork, 0, momentLeast},
		{momentWork, 120 * momentWork, time.Minute},
	} {
		m := openMoments(t, t.TempDir())
		saveAt(t, m, midnight, 0)
		m.size = test.size
		after, work := time.Duration(0), 0
		for done := false; !done; done = saveAt(t, m, midnight.Add(after), work) {
			after, work = after+time.Second, work+test.perSecond
		}
		if (after - test.want).Abs() > 2*time.Second {
			t.Errorf("%d bytes a second, a state of %d: saved after %s, want %s", test.perSecond, test.size, after, test.want)
		}
	}
}

// A mesh time that jumps forwards by years deletes no state, and neither stops nor starts a saving of every message.
func TestAJumpOfMeshTimeKeepsTheStates(t *testing.T) {
	dir := t.TempDir()
	m := openMoments(t, dir)
	for i := range 20 {
		saveAt(t, m, midnight.Add(time.Duration(i)*momentEvery), 0)
	}
	later := midnight.AddDate(400, 0, 0)
	if !saveAt(t, m, later, 0) || saveAt(t, m, later.Add(time.Minute), 0) || !saveAt(t, m, later.Add(momentEvery), 0) {
		t.Error("after the jump the states are not saved every five minutes")
	}
	m = openMoments(t, dir)
	if len(m.all) != 22 || !m.all[21].at.Equal(later.Add(momentEvery)) {
		t.Errorf("%d states are left of 22, the newest of %s", len(m.all), m.all[len(m.all)-1].at)
	}
	if one, ok := m.before(midnight.Add(time.Hour)); !ok || !one.at.Equal(midnight.Add(time.Hour)) {
		t.Errorf("the state of an hour after midnight: %v, %v", one, ok)
	}
	// The stream is recreated after the clock was corrected: what is later belongs to the one before.
	corrected := midnight.Add(2 * time.Hour)
	if !saveAt(t, m, corrected, 0) || !saveAt(t, m, corrected.Add(momentEvery), 0) || len(m.all) != 22 {
		t.Errorf("after the correction, %d states: %v", len(m.all), m.all)
	}
}

// Over the bound of their number, states of long ago become sparser before the oldest go; the files are those listed.
func TestStatesOfLongAgoBecomeSparser(t *testing.T) {
	dir := t.TempDir()
	m := openMoments(t, dir)
	const every, size = time.Minute, momentsBytes / 200
	add := func(i int) {
		one := moment{at: midnight.Add(time.Duration(i) * every), sequence: uint64(i), size: size}
		if err := os.WriteFile(filepath.Join(m.dir, one.name()), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		m.add(one, false)
	}
	for i := range 500 { // eight hours
		add(i)
	}
	if len(m.all) != 200 || !m.all[0].at.Equal(midnight) {
		t.Fatalf("%d states, the oldest of %s", len(m.all), m.all[0].at)
	}
	hour := 0
	for i, one := range m.all {
		if i > 0 && one.at.Sub(m.all[i-1].at) > momentEvery {
			t.Errorf("no state from %s to %s", m.all[i-1].at, one.at)
		}
		if m.all[199].at.Sub(one.at) < time.Hour {
			hour++
		}
	}
	if hour < 40 {
		t.Errorf("the last hour has %d states", hour)
	}
	for i := 500; i < 2000; i++ { // 33 hours: more than five minutes apart would be needed
		add(i)
	}
	if m.all[0].at.Equal(midnight) || len(m.all) != 200 {
		t.Errorf("%d states, the oldest of %s", len(m.all), m.all[0].at)
	}
	if files, err := os.ReadDir(m.dir); err != nil || len(files) != len(m.all) {
		t.Errorf("%d files of %d states (%v)", len(files), len(m.all), err)
	}
}

// A mesh of a hundred hosts saves a state of 0.3 MB every 6 s: those of nearly two days are all kept.
func TestStatesOfTwoDaysStayDense(t *testing.T) {
	m := openMoments(t, t.TempDir())
	const every, size = 6250 * time.Millisecond, 323_000
	at := midnight
	for ; at.Sub(midnight) < 46*time.Hour; at = at.Add(every) {
		m.all = append(m.all, moment{at: at, sequence: uint64(len(m.all)), size: size})
	}
	m.add(moment{at: at, sequence: uint64(len(m.all)), size: size}, false)
	if !m.all[0].at.Equal(midnight) {
		t.Errorf("the oldest state is of %s", m.all[0].at)
	}
	for i := 1; i < len(m.all); i++ {
		if apart := m.all[i].at.Sub(m.all[i-1].at); apart > every {
			t.Fatalf("at %s, states are %s apart", m.all[i].at, apart)
		}
	}
}

// Two days later a state is gone, also while nothing bounds their number.
func TestStatesAgeOut(t *testing.T) {
	m := openMoments(t, t.TempDir())
	for i := range 600 {
		m.add(moment{at: midnight.Add(time.Duration(i) * momentEvery), sequence: uint64(i)}, false)
	}
	if kept := m.all[len(m.all)-1].at.Sub(m.all[0].at); kept != momentsKept {
		t.Errorf("states of %s are kept", kept)
	}
}

// A replay that takes too long says so, wherever it was.
func TestAReplayThatTakesTooLongIsExplained(t *testing.T) {
	err := explained(errors.Join(errors.New("fetch"), context.DeadlineExceeded))
	if errkind.Of(err) != errkind.Unavailable || err.Error() != "the replay took too long" {
		t.Errorf("%v", err)
	}
	if err := explained(context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
