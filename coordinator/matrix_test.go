package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// FuzzMatrixPrintsWholeCharacters: whatever hosts, checks and vantages are called, the terminal gets UTF-8 without
// control characters, also where a line is cut.
func FuzzMatrixPrintsWholeCharacters(f *testing.F) {
	for _, name := range []string{
		"NC036", "e\u0301", "漢字", "👩‍👩‍👧‍👦", "\x00", "\xff", "a\xe6\xbc", "x\ty\nz\v\f", strings.Repeat("é", 5000),
		strings.Repeat("👩🏽‍🚀", 900), "\u202egnp.exe", "\x1b[2J",
	} {
		f.Add(name, name, name)
	}
	f.Fuzz(func(t *testing.T, host, check, vantage string) {
		edges := []mesh.EdgeState{{Vantage: vantage, Vote: mesh.Bad, Reason: check}}
		s := &mesh.Snapshot{At: time.Unix(1e9, 0), Vantages: []mesh.VantageState{{Name: vantage}, {Name: host}},
			Hosts: []mesh.HostState{{Name: host, Checks: []mesh.CheckState{{
				Name: check, Votes: []mesh.RegionVote{{Region: vantage, Vote: mesh.Bad, Edges: edges}},
			}}}}}
		var out strings.Builder
		if err := writeMatrix(command.Printable(&out), &catalog.Catalog{}, s, 80); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b\u202e") {
			t.Fatalf("%q", text)
		}
	})
}

// The terminal has the order of the console, and colors change no letter.
func TestMatrixOfTheTerminal(t *testing.T) {
	edge := func(vantage string, vote mesh.Vote) mesh.RegionVote {
		return mesh.RegionVote{Region: vantage, Vote: vote, Edges: []mesh.EdgeState{
			{Vantage: vantage, Vote: vote, Outcome: mesh.Reachable, RTT: 12 * time.Millisecond},
		}}
	}
	s := &mesh.Snapshot{
		Vantages: []mesh.VantageState{{Name: "X1", Region: "b"}, {Name: "X2", Region: "a"}},
		Hosts: []mesh.HostState{
			{Name: "X1", Region: "b", Checks: []mesh.CheckState{{Name: "X?", Votes: []mesh.RegionVote{edge("x2", mesh.Bad)}}}},
			{Name: "X2", Region: "a", Checks: []mesh.CheckState{{Name: "漢", Votes: []mesh.RegionVote{edge("x1", mesh.OK)}}}},
		},
	}
	c := &catalog.Catalog{Regions: []catalog.Region{{Name: "a"}, {Name: "b"}}}
	var out strings.Builder
	if err := writeMatrix(command.Printable(&out), c, s, 80); err != nil {
		t.Fatal(err)
	}
	plain := out.String()
	if !strings.HasPrefix(plain, "CHECK X2 X1\nX2 漢     +12\nX1 X? X  \n") {
		t.Errorf("%s", plain)
	}
	colored := colorMatrix(plain)
	if !strings.Contains(colored, "X1 X? \x1b[1;31mX\x1b[0m") || !strings.Contains(colored, "\x1b[32m+12\x1b[0m") {
		t.Errorf("%q", colored)
	}
	for _, escape := range []string{"\x1b[1;31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"} {
		colored = strings.ReplaceAll(colored, escape, "")
	}
	if colored != plain {
		t.Errorf("%q is not %q", colored, plain)
	}
}

// Vantages that do not fit the terminal follow below, with all checks again.
func TestAWideMatrixIsPrintedInParts(t *testing.T) {
	s := &mesh.Snapshot{Hosts: []mesh.HostState{{Name: "H", Checks: []mesh.CheckState{{Name: "ping"}}}}}
	for i := range 30 {
		name := fmt.Sprintf("NC%03d", i)
		s.Vantages = append(s.Vantages, mesh.VantageState{Name: name})
		s.Hosts[0].Checks[0].Votes = append(s.Hosts[0].Checks[0].Votes, mesh.RegionVote{Edges: []mesh.EdgeState{
			{Vantage: mesh.Key(name), Vote: mesh.Bad, Outcome: mesh.Unreachable},
		}})
	}
	var out strings.Builder
	if err := writeMatrix(&out, &catalog.Catalog{}, s, 80); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if n := len(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if n := strings.Count(out.String(), "CHECK "); n != 3 {
		t.Errorf("%d parts:\n%s", n, &out)
	}
	var whole strings.Builder
	if err := writeMatrix(&whole, &catalog.Catalog{}, s, command.Unlimited); err != nil ||
		strings.Count(whole.String(), "CHECK ") != 1 {
		t.Errorf("in a pipe:\n%s (%v)", &whole, err)
	}
	if n := strings.Count(colorMatrix(out.String()), "\x1b[1;31mX\x1b[0m"); n != 30 {
		t.Errorf("%d cells are red", n)
	}
}
