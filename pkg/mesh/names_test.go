package mesh_test

import (
	"testing"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// A value that has no name is written as a number.
func TestValuesWithoutAName(t *testing.T) {
	for got, want := range map[string]string{
		mesh.Outcome(200).String(): "mesh.Outcome(200)", mesh.Vote(7).String(): "mesh.Vote(7)",
	} {
		if got != want {
			t.Errorf("it is called %q, not %q", got, want)
		}
	}
}
