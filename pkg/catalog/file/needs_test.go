package file_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/catalog/file"
)

func needy(hosts ...string) []byte {
	return []byte(regions + "hosts:\n  - " + strings.Join(hosts, "\n  - ") + "\n")
}

// A host may come after those that need it, and names are spelled as their hosts spell them.
func TestNeeds(t *testing.T) {
	c, err := file.Parse("c.yaml", needy(
		"{name: Web, region: ams, address: 192.0.2.1, needs: dns, checks: [{kind: ping, needs: [SAN, dns]}, {kind: tls}]}",
		"{name: DNS, region: ams, address: 192.0.2.2}",
		"{name: San, region: ams, address: 192.0.2.3, needs: [DNS]}",
	), noEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	web := c.Host("web")
	for n, want := range [][]string{{"dns", "san"}, {"dns"}} {
		if got := web.NeedsOf(&web.Checks[n]); !slices.Equal(got, want) {
			t.Errorf("%s needs %v, want %v", web.Checks[n].Name, got, want)
		}
	}
	if !slices.Equal(web.Checks[0].Needs, []string{"San", "DNS"}) {
		t.Errorf("spelled %v", web.Checks[0].Needs)
	}
	data, err := catalog.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := catalog.Decode(data)
	if diff := cmp.Diff(c, again); diff != "" || err != nil {
		t.Error(diff, err)
	}
	agents, err := catalog.Encode(c.ForAgents())
	if err != nil || strings.Contains(string(agents), "needs") {
		t.Errorf("agents get %s (%v)", agents, err)
	}
	if again.Hosts[0].Checks[1].Needs = []string{"nobody"}; mustNotDecode(again) {
		t.Error("a catalog that names an unknown host is accepted")
	}
	again.Hosts[0].Checks[1].Needs, again.Hosts[1].Needs = nil, []string{"Web"}
	if mustNotDecode(again) {
		t.Error("a catalog with a cycle is accepted")
	}
	changes := catalog.Compare(c, again)
	if len(changes) != 1 || !strings.Contains(changes[0].What, "needs change") {
		t.Errorf("changes %v", changes)
	}
}

// mustNotDecode reports whether a catalog from another program is accepted.
func mustNotDecode(c *catalog.Catalog) (accepted bool) {
	data, err := catalog.Encode(c)
	if err == nil {
		_, err = catalog.Decode(data)
	}
	return err == nil
}

func TestMistakesInNeeds(t *testing.T) {
	host := func(name, more string) string {
		return "{name: " + name + ", region: ams, address: 192.0.2.1" + more + "}"
	}
	for name, test := range map[string]struct {
		hosts []string
		want  string
	}{
		"unknown": {
			[]string{host("A", ", needs: [NC03]"), host("NC033", "")}, `there is no host "NC03"; use one of A, NC033`,
		},
		"of a check":     {[]string{host("A", ", checks: [{kind: ping, needs: [X]}]")}, `there is no host "X"`},
		"itself":         {[]string{host("A", ", needs: [a]")}, "the host A needs itself"},
		"a cycle of two": {[]string{host("A", ", needs: [B]"), host("B", ", needs: [A]")}, "A needs B needs A"},
		"a cycle through a check": {[]string{
			host("A", ", needs: B"), host("B", ", checks: [{kind: ping, needs: [C]}]"), host("C", ", needs: [A]"),
		}, "A needs B needs C needs A"},
		"too many": {[]string{host("A", ", needs: ["+strings.Repeat("B, ", 17)+"]")}, "more than 16 hosts"},
		"no text":  {[]string{host("A", ", needs: [{b: c}]")}, "needs is not text"},
	} {
		_, err := file.Parse("c.yaml", needy(test.hosts...), noEnvironment)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "c.yaml:") {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	_, err := file.Parse("c.yaml", needy(host("A", ", needs: [B]"), host("B", ", needs: [A]")), noEnvironment)
	if line := strings.Count(string(needy(host("A", ""), host("B", ""))), "\n"); err == nil ||
		!strings.Contains(err.Error(), "c.yaml:"+string(rune('0'+line))+":") {
		t.Errorf("the place of a cycle: %v", err)
	}
}
