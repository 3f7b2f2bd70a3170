package archive_test

import (
	"slices"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/archive"
)

func TestTerms(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, "mail": {"mail"}, "  sending   mail ": {"sending", "mail"},
		`"sending mail" down`: {"sending mail", "down"}, `a "b c`: {"a", "b c"}, `"`: nil, `""" ""`: nil, "-*(): ^": nil,
		"don't": {"don t"}, "“virus flood”": {"virus flood"}, "«a b» „c d“": {"a b", "c d"}, "NEAR(a b)": {"NEAR a", "b"},
		"col:x*": {"col x"}, "don’t": {"don t"}, "a\x00b \xff": {"a b"},
	} {
		if got := archive.Terms(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestCursors(t *testing.T) {
	for _, c := range []archive.Cursor{{}, {At: 1, Row: 2}, {At: 1 << 62, Row: 1 << 40}} {
		if got, err := archive.ParseCursor(c.String()); err != nil || got != c {
			t.Errorf("%v: %v, %v", c, got, err)
		}
	}
	for _, s := range []string{"a", "%", "AAAAAAAAAAAAAAAA", "////", "AAAAAAAAAAE_____________8"} {
		if _, err := archive.ParseCursor(s); err == nil {
			t.Errorf("%q is a cursor", s)
		}
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("a \"b c\"")
	f.Fuzz(func(t *testing.T, s string) {
		if n := len(archive.Terms(s)); n > 12 {
			t.Errorf("%q has %d terms", s, n)
		}
		if c, err := archive.ParseCursor(s); err == nil {
			if again, err := archive.ParseCursor(c.String()); err != nil || again != c {
				t.Errorf("%q: %v, %v", s, c, again)
			}
		}
	})
}

func TestNeighbours(t *testing.T) {
	month := func(m time.Month) archive.Month { return archive.Month{Year: 2025, Month: m} }
	months := []archive.Count{{Month: month(9)}, {Month: month(6)}, {Month: month(2)}}
	for _, test := range []struct{ of, before, after archive.Month }{
		{month(6), month(2), month(9)}, {month(9), month(6), archive.Month{}}, {month(2), archive.Month{}, month(6)},
		{month(4), month(2), month(6)}, {month(12), month(9), archive.Month{}},
	} {
		if before, after := archive.Neighbours(months, test.of); before != test.before || after != test.after {
			t.Errorf("%v: %v and %v", test.of, before, after)
		}
	}
}
