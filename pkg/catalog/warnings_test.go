package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
)

func TestWarnings(t *testing.T) {
	rule := catalog.DefaultRule()
	two := rule
	two.AllowTwoRegions = true
	in := func(regions ...string) []catalog.Host {
		var out []catalog.Host
		for i, r := range regions {
			out = append(out, catalog.Host{Name: fmt.Sprintf("NC%d", i), Region: r})
		}
		return out
	}
	greeting := func(port int) []catalog.Host {
		hosts := in("a", "b", "c")
		hosts[0].Checks = []catalog.Check{{Name: "mail", Options: catalog.TCP{Port: port, Banner: "."}}}
		return hosts
	}
	for name, test := range map[string]struct {
		hosts []catalog.Host
		rule  catalog.Rule
		want  string // part of the only warning; empty: none
	}{
		"an empty catalog":            {nil, rule, ""},
		"three regions":               {in("a", "b", "c", "a"), rule, ""},
		"one region":                  {in("a", "a"), rule, "in 1 region, and regions_min of the rule asks for 3"},
		"one region, where two may":   {in("a", "a"), two, "add hosts with agents in other regions"},
		"two regions":                 {in("a", "b"), rule, "or set allow_two_regions"},
		"two regions, which may":      {in("a", "b"), two, ""},
		"a greeting":                  {greeting(143), rule, ""},
		"a greeting, IMAP with TLS":   {greeting(993), rule, `NC0 "mail" waits for a banner on port 993`},
		"a greeting, POP3 with TLS":   {greeting(995), rule, "port 995"},
		"a greeting, SMTP with TLS":   {greeting(465), rule, "port 465"},
		"a greeting, directory, TLS":  {greeting(636), rule, "port 636"},
		"a greeting on a web's port":  {greeting(443), rule, "port 443"},
		"a greeting, chat with TLS":   {greeting(6697), rule, "port 6697"},
		"a greeting on a port of SSH": {greeting(22), rule, ""},
	} {
		got := (&catalog.Catalog{Hosts: test.hosts, Rule: test.rule}).Warnings()
		text := strings.Join(got, "\n")
		if len(got) > 1 || (test.want == "") != (len(got) == 0) || !strings.Contains(text, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	many := greeting(993)
	for i := range 200 {
		c := many[0].Checks[0]
		c.Name = fmt.Sprint(i)
		many[0].Checks = append(many[0].Checks, c)
	}
	got := (&catalog.Catalog{Hosts: many, Rule: rule}).Warnings()
	if len(got) != 21 || got[20] != "181 more checks wait for a banner on such a port" {
		t.Errorf("%d warnings, the last %q", len(got), got[len(got)-1])
	}
}
