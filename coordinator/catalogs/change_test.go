package catalogs

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestWhenAChangeOfTheFileCounts(t *testing.T) {
	dir := t.TempDir()
	stat := func(name string) os.FileInfo {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first, second := stat("first"), stat("second")
	missing := reading{failure: "no such file"}
	start := time.Unix(1000, 0)
	for name, test := range map[string]struct {
		readings []reading // one a second
		want     int       // the second at which the last text counts as complete
	}{
		"replaced":                     {[]reading{{"a", "", first}, {"b", "", second}}, 1},
		"written in place":             {[]reading{{"a", "", first}, {"b", "", first}}, 6},
		"written in two parts":         {[]reading{{"a", "", first}, {"b", "", first}, {"bc", "", first}}, 7},
		"read again":                   {[]reading{{"a", "", first}, {"b", "", first}, {"b", "", first}}, 6},
		"replaced by the same text":    {[]reading{{"a", "", first}, {"b", "", first}, {"b", "", second}}, 1},
		"replaced, then written":       {[]reading{{"a", "", first}, {"b", "", second}, {"c", "", second}}, 7},
		"removed, and created in part": {[]reading{{"a", "", first}, missing, {"b", "", second}}, 7},
		"removed":                      {[]reading{{"a", "", first}, missing}, 6},
	} {
		var change fileChange
		for i, r := range test.readings {
			change = change.next(r, start.Add(time.Duration(i)*time.Second))
		}
		if got := int(change.settled().Sub(start).Seconds()); got != test.want {
			t.Errorf("%s: complete after %d s, want %d", name, got, test.want)
		}
	}
}

func TestWhatAChangeLosesThatIsDown(t *testing.T) {
	host := func(name string, public bool, checks ...string) catalog.Host {
		h := catalog.Host{Name: name, Public: public}
		for _, c := range checks {
			h.Checks = append(h.Checks, catalog.Check{Name: c})
		}
		return h
	}
	before := &catalog.Catalog{Hosts: []catalog.Host{host("NC1", true, "ping", "smtp"), host("NC2", true, "ping")}}
	snapshot := &mesh.Snapshot{Hosts: []mesh.HostState{
		{Name: "NC1", Checks: []mesh.CheckState{{Name: "ping", Verdict: mesh.Up}, {Name: "smtp", Verdict: mesh.Down}}},
		{Name: "NC2", Checks: []mesh.CheckState{{Name: "ping", Verdict: mesh.Up}}},
	}}
	for name, test := range map[string]struct {
		next []catalog.Host
		want []string
	}{
		"nothing":          {before.Hosts, nil},
		"a host that's up": {before.Hosts[:1], nil},
		"the host":         {before.Hosts[1:], []string{"NC1"}},
		"the check":        {[]catalog.Host{host("NC1", true, "ping")}, []string{"NC1 smtp"}},
		"another check":    {[]catalog.Host{host("NC1", true, "smtp")}, nil},
		"respelled":        {[]catalog.Host{host("nc1", true, "smtp")}, nil},
		"hidden":           {[]catalog.Host{host("NC1", false, "ping", "smtp")}, []string{"NC1"}},
	} {
		if got := lostOutages(before, &catalog.Catalog{Hosts: test.next}, snapshot); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
