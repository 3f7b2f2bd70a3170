package mesh_test

import (
	"testing"
	"time"

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

func TestCountOf(t *testing.T) {
	for _, test := range []struct {
		n, of int
		want  string
	}{
		{0, 1, "0 of 1 region votes"}, {1, 1, "1 of 1 region votes"}, {1, 8, "1 of 8 regions votes"},
		{0, 8, "0 of 8 regions vote"}, {2, 8, "2 of 8 regions vote"},
	} {
		if got := mesh.CountOf(test.n, test.of, "region", "votes", "vote"); got != test.want {
			t.Errorf("%d of %d: %q, want %q", test.n, test.of, got, test.want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 400 * time.Microsecond: "0.4 ms", 29130 * time.Microsecond: "29.1 ms", 103 * time.Millisecond: "103 ms",
		-12 * time.Millisecond: "-12.0 ms", 1250 * time.Millisecond: "1.25 s",
		99960 * time.Microsecond: "100 ms", 999600 * time.Microsecond: "1.00 s",
	} {
		if got := mesh.Span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
