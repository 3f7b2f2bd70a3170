package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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
		if err := writeMatrix(command.Printable(&out), s); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b\u202e") {
			t.Fatalf("%q", text)
		}
	})
}
