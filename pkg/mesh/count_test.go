package mesh_test

import (
	"testing"

	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestCount(t *testing.T) {
	for _, test := range []struct {
		n          int
		noun, want string
	}{
		{1, "region", "1 region"}, {0, "region", "0 regions"}, {7, "region", "7 regions"}, {-1, "day", "-1 days"},
		{1, "batch", "1 batch"}, {2, "batch", "2 batches"}, {2, "address", "2 addresses"}, {2, "entry", "2 entries"},
		{2, "reply", "2 replies"}, {1, "more change", "1 more change"}, {3, "more check", "3 more checks"},
	} {
		if got := mesh.Count(test.n, test.noun); got != test.want {
			t.Errorf("%d %s: %q, want %q", test.n, test.noun, got, test.want)
		}
	}
}
