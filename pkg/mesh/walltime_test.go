package mesh_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fill sets every time to noon, in one element of every slice, and calls found with each time.
func fill(v reflect.Value, found func(reflect.Value)) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		found(v)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), found)
		}
	case v.Kind() == reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			fill(v.Index(i), found)
		}
	}
}

func setNoon(v reflect.Value) { v.Set(reflect.ValueOf(noon)) }

// All times that people read are converted, those of fields that are added later too.
func TestEveryTimeIsShownInWallTime(t *testing.T) {
	const offset = 10 * time.Minute
	wanted := func(of string, v reflect.Value) {
		n := 0
		fill(v, func(at reflect.Value) {
			n++
			if got := at.Interface().(time.Time); !got.Equal(noon.Add(-offset)) {
				t.Errorf("a time of a %s is shown as %v", of, got)
			}
		})
		if n < 6 {
			t.Errorf("a %s has %d times", of, n)
		}
	}
	var s mesh.Snapshot
	fill(reflect.ValueOf(&s).Elem(), setNoon)
	s.ShowWallTime(offset)
	wanted("snapshot", reflect.ValueOf(&s).Elem())
	if !s.MeshTime().Equal(noon) {
		t.Errorf("its mesh time is %v", s.MeshTime())
	}
	var original mesh.Transition
	fill(reflect.ValueOf(&original).Elem(), setNoon)
	original.Offset = offset
	shown := original.InWallTime()
	wanted("transition", reflect.ValueOf(&shown).Elem())
	if !original.Votes[0].Edges[0].At.Equal(noon) {
		t.Error("the original changed")
	}
}
