package persist_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/persist"
)

type state struct {
	Count  uint64
	Signed int
	Name   string
	On     bool
	Share  float64
	At     time.Time
	Names  []string
	Shares map[string]float64
	Other  *state
}

func (s *state) walk(w *persist.Walk) {
	persist.Integer(w, &s.Count)
	persist.Integer(w, &s.Signed)
	persist.Text(w, &s.Name)
	w.Bool(&s.On)
	w.Float(&s.Share)
	w.Time(&s.At)
	persist.Texts(w, &s.Names)
	persist.Map(w, &s.Shares, w.Float)
	persist.Optional(w, &s.Other, func(o *state) { o.walk(w) })
}

func draw(t *rapid.T, depth int) *state {
	s := &state{
		Count: rapid.Uint64().Draw(t, "count"), Signed: rapid.Int().Draw(t, "signed"),
		Name: rapid.String().Draw(t, "name"), On: rapid.Bool().Draw(t, "on"), Share: rapid.Float64().Draw(t, "share"),
	}
	if rapid.Bool().Draw(t, "dated") {
		s.At = time.Unix(rapid.Int64().Draw(t, "at"), rapid.Int64Range(0, 1e9-1).Draw(t, "nanos")).UTC()
	}
	for range rapid.IntRange(0, 3).Draw(t, "names") {
		s.Names = append(s.Names, rapid.String().Draw(t, "one"))
	}
	s.Shares = rapid.MapOfN(rapid.String(), rapid.Float64(), 0, 3).Draw(t, "shares")
	if depth > 0 && rapid.Bool().Draw(t, "other") {
		s.Other = draw(t, depth-1)
	}
	return s
}

func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := draw(t, 2)
		w := persist.Writer()
		before.walk(w)
		r, after := persist.Reader(w.Bytes()), &state{}
		after.walk(r)
		if diff := cmp.Diff(before, after); diff != "" || r.Err() != nil {
			t.Fatalf("%v: %s", r.Err(), diff)
		}
		short := persist.Reader(w.Bytes()[:rapid.IntRange(0, len(w.Bytes())-1).Draw(t, "cut")])
		(&state{}).walk(short)
		if !errors.Is(short.Err(), persist.ErrMalformed) {
			t.Fatal("a state that is cut short was read")
		}
	})
}

// Times of every year come back, and what is no time is refused.
func TestTimesOfEveryYear(t *testing.T) {
	for _, at := range []time.Time{
		{}, time.Unix(0, 0).UTC(), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(1600, 2, 29, 1, 2, 3, 4, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Unix(0, math.MinInt64).UTC(),
	} {
		w := persist.Writer()
		w.Time(&at)
		r, got := persist.Reader(w.Bytes()), time.Now()
		r.Time(&got)
		if !got.Equal(at) || r.Err() != nil {
			t.Errorf("%s is read as %s (%v)", at, got, r.Err())
		}
	}
	for _, nanos := range []int64{-1, 1e9} {
		w, known, seconds := persist.Writer(), true, int64(1)
		w.Bool(&known)
		persist.Integer(w, &seconds)
		persist.Integer(w, &nanos)
		r, got := persist.Reader(w.Bytes()), time.Now()
		if r.Time(&got); !errors.Is(r.Err(), persist.ErrMalformed) || !got.IsZero() {
			t.Errorf("%d ns are read as %s", nanos, got)
		}
	}
}

// FuzzRead: damaged bytes neither panic nor allocate more than they are long.
func FuzzRead(f *testing.F) {
	f.Add([]byte{1, 2, 3, 255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &state{}
		s.walk(persist.Reader(data))
		if len(s.Name) > len(data) || len(s.Names) > len(data) {
			t.Fatal("more was read than there is")
		}
	})
}

// Saving changes nothing, not even to the same value: others may read what a state shares with them meanwhile, which
// the race detector sees. The time would lose its zone.
func TestSavingWritesToNothing(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 31, 0, 0, time.FixedZone("UTC+1", 3600))
	s := &state{Count: 7, Signed: -7, Name: "x", On: true, Share: 0.5, At: at}
	before := *s
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		s.walk(persist.Writer())
	}()
	if s.Count != before.Count || s.Signed != before.Signed || s.On != before.On || s.Share != before.Share || s.At != at {
		t.Errorf("while it is saved the state is %+v", s)
	}
	<-saved
	if s.At != at {
		t.Errorf("after it was saved the time is %v", s.At)
	}
}
