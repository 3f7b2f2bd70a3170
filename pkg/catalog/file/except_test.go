package file_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/catalog/file"
)

// exceptFile is a catalog of five regions with a host each; except stands on the check of the one in ams.
func exceptFile(except string) []byte {
	return []byte(`regions: [{name: ams}, {name: lon}, {name: lus}, {name: syd}, {name: sea}]
hosts:
  - {name: A, region: ams, address: 192.0.2.1, checks: [{kind: ping, except: ` + except + `}]}
  - {name: B, region: lon}
  - {name: C, region: lus}
  - {name: D, region: syd}
  - {name: E, region: sea}
`)
}

func parseExcept(except string) (*catalog.Catalog, error) {
	text := strings.ReplaceAll(string(exceptFile(except)), "region: l", "checks: [], region: l")
	text = strings.ReplaceAll(text, "region: s", "checks: [], region: s")
	return file.Parse("x", []byte(text), func(string) (string, bool) { return "", false })
}

func TestExceptNamesRegions(t *testing.T) {
	for except, want := range map[string][]string{
		"lus": {"lus"}, "[lus]": {"lus"}, "[syd, lus]": {"lus", "syd"}, "ams": {"ams"},
	} {
		c, err := parseExcept(except)
		if err != nil {
			t.Errorf("%s: %v", except, err)
			continue
		}
		data, err := catalog.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := catalog.Decode(data)
		if err != nil || !slices.Equal(again.Hosts[0].Checks[0].Except, want) {
			t.Errorf("%s: carried as %s, %v", except, data, err)
		}
		if warnings := c.Warnings(); len(warnings) > 0 {
			t.Errorf("%s: %q", except, warnings)
		}
	}
}

func TestMistakesInExcept(t *testing.T) {
	for except, want := range map[string]string{
		"lusk":                 `x:3:78: there is no region "lusk"; did you mean "lus"?`,
		"[lus, lus]":           "the region lus is given twice",
		"[]":                   "names no region",
		"{lus: true}":          "a region",
		"[lon, lus, syd, sea]": "x:3:78: all regions leave out A ping, so no region probes it",
	} {
		if _, err := parseExcept(except); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", except, err, want)
		}
	}
	c, err := parseExcept("[lon, lus, syd]")
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(c.Warnings(), "; "); !strings.Contains(text, `A "ping" has 2 regions with the host's own`) {
		t.Errorf("a check that two regions are left for: %q", text)
	}
}

func TestExceptOfAPeerIsBounded(t *testing.T) {
	c, err := parseExcept("lus")
	if err != nil {
		t.Fatal(err)
	}
	for _, except := range [][]string{{"nowhere"}, {"syd", "lus"}, {"lus", "lus"}, {""}} {
		c.Hosts[0].Checks[0].Except = except
		data, err := catalog.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := catalog.Decode(data); err == nil {
			t.Errorf("%q was accepted", except)
		}
	}
}

// A region that leaves a check out is no other question for those that remain: nothing starts as pending.
func TestExceptIsNotAnotherQuestion(t *testing.T) {
	before, err := parseExcept("lus")
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseExcept("[lus, syd]")
	if err != nil {
		t.Fatal(err)
	}
	changes := catalog.Compare(before, after)
	if len(changes) != 1 || changes[0].Look || changes[0].What != "left out by lus, syd, was lus" {
		t.Errorf("%+v", changes)
	}
	if before.Revision == after.Revision {
		t.Error("both have one revision")
	}
}
