package judge_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/persist"
)

// notSaved are the fields that a saved judge needs not have alike: scratch space, caches, what the catalogs and the
// roster determine, and the output of a step.
var notSaved = map[string]bool{
	"intake.places": true, "intake.changes": true, "names.known": true, "names.catalogs": true, "names.now": true,
	"topology.catalog": true, "topology.agents": true, "host.config": true, "check.config": true,
	"verdicts.transitions": true, "rounds.asks": true, "environment.rule": true, "Time.loc": true,
}

// comparison compares two judges field by field, those that are not exported too: a field that Save forgets is one
// whose loss changes nothing until the day it does. Pointers may be cyclic.
type comparison struct{ seen map[[2]unsafe.Pointer]bool }

// differ returns the path of the first difference, or "".
func (c comparison) differ(a, b reflect.Value, path string) string {
	if a.Type() == reflect.TypeFor[time.Time]() {
		if a.Field(0).Uint() != b.Field(0).Uint() || a.Field(1).Int() != b.Field(1).Int() {
			return path
		}
		return ""
	}
	switch a.Kind() {
	case reflect.Pointer:
		pair := [2]unsafe.Pointer{a.UnsafePointer(), b.UnsafePointer()}
		switch {
		case c.seen[pair]:
			return ""
		case a.IsNil() || b.IsNil():
			return where(a.IsNil() == b.IsNil(), path)
		}
		c.seen[pair] = true
		return c.differ(a.Elem(), b.Elem(), path)
	case reflect.Struct:
		for i := range a.NumField() {
			name := a.Type().Field(i).Name
			if notSaved[a.Type().Name()+"."+name] {
				continue
			}
			if at := c.differ(a.Field(i), b.Field(i), path+"."+name); at != "" {
				return at
			}
		}
		return ""
	case reflect.Slice, reflect.Array:
		return c.differInOrder(a, b, path)
	case reflect.Map:
		return c.differByKey(a, b, path)
	}
	return where(a.Equal(b), path)
}

func (c comparison) differInOrder(a, b reflect.Value, path string) string {
	if a.Len() != b.Len() {
		return path + " (length)"
	}
	for i := range a.Len() {
		if at := c.differ(a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", path, i)); at != "" {
			return at
		}
	}
	return ""
}

func (c comparison) differByKey(a, b reflect.Value, path string) string {
	if a.Len() != b.Len() {
		return path + " (length)"
	}
	for _, key := range a.MapKeys() {
		other := b.MapIndex(key)
		if !other.IsValid() {
			return fmt.Sprintf("%s[%v]", path, key)
		}
		if at := c.differ(a.MapIndex(key), other, fmt.Sprintf("%s[%v]", path, key)); at != "" {
			return at
		}
	}
	return ""
}

func where(same bool, path string) string {
	if same {
		return ""
	}
	return path
}

// saveNow saves the judge, reads it back, and has both step on from now.
func (w *chaos) saveNow() {
	loaded, err := judge.Load(w.inForce(), w.earlier, w.judge.Save())
	if err != nil {
		w.t.Fatal(err)
	}
	compared := comparison{map[[2]unsafe.Pointer]bool{}}
	if at := compared.differ(reflect.ValueOf(w.judge), reflect.ValueOf(loaded), "judge"); at != "" {
		w.t.Fatalf("%s is not read as it was written", at)
	}
	w.loaded = loaded
}

// stepLoaded has the judge that was saved and read do the same.
func (w *chaos) stepLoaded(in judge.Input, want judge.Output) {
	if w.loaded == nil {
		return
	}
	if diff := cmp.Diff(want, w.loaded.Step(in), cmpopts.EquateEmpty()); diff != "" {
		w.t.Fatalf("at %v the saved judge decides otherwise: %s", w.at, diff)
	}
}

// TestASavedJudgeContinuesAsTheOneItWas: whatever happened before and happens after, rounds that are open, outages that
// are held back, renames, and copies of agents too.
func TestASavedJudgeContinuesAsTheOneItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, seen := newChaos(t), map[mesh.Verdict]int{}
		w.begin()
		steps := rapid.IntRange(5, 25).Draw(t, "steps")
		for i := range steps {
			if rapid.IntRange(0, 7).Draw(t, "save") == 0 || i == 0 {
				w.saveNow()
			}
			if rapid.IntRange(0, 60).Draw(t, "rename") == 60 {
				w.earlier = append(w.earlier, w.inForce())
				w.rename()
			}
			w.step(seen)
		}
		if diff := cmp.Diff(w.judge.Snapshot(), w.loaded.Snapshot(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("at %v the saved judge shows something else: %s", w.at, diff)
		}
	})
}

func (w *chaos) inForce() *catalog.Catalog {
	if w.present != nil {
		return w.present
	}
	return w.catalog
}

// A state is refused if it is cut short, or of another catalog.
func TestASavedJudgeThatDoesNotFitIsRefused(t *testing.T) {
	w := newWorld()
	w.addRegions([]string{"ams", "lon", "nyc"})
	w.begin()
	w.play(20 * step)
	data := w.judge.Save()
	fewer := *w.catalog
	fewer.Hosts = fewer.Hosts[:2]
	catalog.Seal(&fewer)
	for name, try := range map[string]struct {
		catalog *catalog.Catalog
		data    []byte
	}{
		"empty": {w.catalog, nil}, "cut short": {w.catalog, data[:len(data)-1]},
		"too long": {w.catalog, append(data[:len(data):len(data)], 1)}, "another catalog": {&fewer, data},
	} {
		if _, err := judge.Load(try.catalog, nil, try.data); !errors.Is(err, persist.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkSave/save and /load are the cost of a state of a thousand hosts with 16 observers each, and its size.
func BenchmarkSave(b *testing.B) {
	c, r := large()
	batches, edges := oneBatchEach(c, r)
	j := judge.New(judge.Start{Catalog: c, Roster: r})
	for i, batch := range batches {
		batch.Sequence++
		j.Step(judge.Input{Sequence: uint64(i + 1), At: epoch.Add(step), Batch: batch})
	}
	data := j.Save()
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			data = j.Save()
		}
		b.ReportMetric(float64(len(data))/float64(edges), "B/edge")
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			if _, err := judge.Load(c, nil, data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
