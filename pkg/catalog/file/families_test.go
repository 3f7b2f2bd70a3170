package file_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func parseHost(t *testing.T, host string) (*catalog.Catalog, error) {
	t.Helper()
	return file.Parse("x", []byte("regions: [{name: ams}]\nhosts: [{name: A, region: ams, "+host+"}]"),
		func(string) (string, bool) { return "", false })
}

func TestFamiliesOfACheck(t *testing.T) {
	v4, v6 := []mesh.Family{mesh.IPv4}, []mesh.Family{mesh.IPv6}
	both := append(slices.Clone(v4), v6...)
	const dual = `address: [192.0.2.1, "2001:db8::1"], `
	for _, test := range []struct {
		host string
		want []mesh.Family
	}{
		{`address: mail.example.net`, both},
		{`address: mail.example.net, checks: [{kind: ping}]`, both},
		{`address: mail.example.net, checks: [{kind: http, url: "https://www.example.net/", families: ipv6}]`, v6},
		{`address: mail.example.net, checks: [{kind: ping, families: [ipv6, ipv4]}]`, both},
		{`address: 192.0.2.1`, v4},
		{dual + `checks: [{kind: ping}]`, both},
		{dual + `checks: [{kind: ping, families: [ipv4]}]`, v4},
	} {
		c, err := parseHost(t, test.host)
		if err != nil {
			t.Errorf("%s: %v", test.host, err)
			continue
		}
		if got := c.Hosts[0].FamiliesOf(&c.Hosts[0].Checks[0]); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, wanted %v", test.host, got, test.want)
		}
		data, err := catalog.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := catalog.Decode(data)
		if err != nil || !slices.Equal(again.Hosts[0].FamiliesOf(&again.Hosts[0].Checks[0]), test.want) {
			t.Errorf("%s: carried as %s: %v", test.host, data, err)
		}
	}
}

func TestMistakesInFamilies(t *testing.T) {
	for host, want := range map[string]string{
		`address: mail.example.net, checks: [{kind: ping, families: ipv5}]`:         `there is no address family "ipv5"`,
		`address: mail.example.net, checks: [{kind: ping, families: any}]`:          `there is no address family "any"`,
		`address: mail.example.net, checks: [{kind: ping, families: []}]`:           `has no address family`,
		`address: mail.example.net, checks: [{kind: ping, families: [ipv4, ipv4]}]`: `the family ipv4 is given twice`,
		`address: 192.0.2.1, checks: [{kind: ping, families: [ipv4, ipv6]}]`:        `the host A has no ipv6 address`,
	} {
		if _, err := parseHost(t, host); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, wanted %q", host, err, want)
		}
	}
}

func TestFamiliesOfAPeerAreBounded(t *testing.T) {
	c, err := parseHost(t, `address: 192.0.2.1`)
	if err != nil {
		t.Fatal(err)
	}
	for _, families := range [][]mesh.Family{{mesh.IPv6}, {mesh.AnyFamily}, {mesh.IPv4, mesh.IPv4}} {
		c.Hosts[0].Checks[0].Families = families
		data, err := catalog.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := catalog.Decode(data); err == nil {
			t.Errorf("%v was accepted", families)
		}
	}
}

// TestACatalogOfTheVersionBefore is read with the meaning that it had, until catalog.NameFamilies gives it families:
// that asks nobody anything else.
func TestACatalogOfTheVersionBefore(t *testing.T) {
	c, err := parseHost(t, `address: mail.example.net`)
	if err != nil {
		t.Fatal(err)
	}
	h := &c.Hosts[0]
	after := h.Checks[0]
	h.Checks[0].Families = nil
	if got := h.FamiliesOf(&h.Checks[0]); !slices.Equal(got,
		[]mesh.Family{mesh.AnyFamily}) || h.Address(mesh.AnyFamily) != "mail.example.net" {
		t.Errorf("families %v", got)
	}
	if !h.Checks[0].SameQuestion(&after) {
		t.Error("an upgrade asks something else")
	}
	if !catalog.NameFamilies(c) || catalog.NameFamilies(c) || len(h.Checks[0].Families) != 2 {
		t.Errorf("families %v", h.Checks[0].Families)
	}
	narrow := after
	narrow.Families = []mesh.Family{mesh.IPv4}
	if narrow.SameQuestion(&after) {
		t.Error("who asks through another family asks something else")
	}
}
