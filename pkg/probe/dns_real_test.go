package probe_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// zoneText is a zone whose TXT records do not fit a datagram.
func zoneText(serial int) string {
	text := fmt.Sprintf("$TTL 60\n@ SOA ns1.example.net. h.example.net. %d 60 60 86400 60\n"+
		"@ NS ns1\n@ NS ns2\nns1 A 127.0.0.1\nns2 A 127.0.0.2\n@ MX 10 mail\nmail A 192.0.2.36\n"+
		"web A 192.0.2.41\nweb A 192.0.2.42\nwww CNAME web\n", serial)
	for i := range 40 {
		text += fmt.Sprintf("long TXT \"%d %s\"\n", i, "a text of more than fifty characters, to fill the answer")
	}
	return text
}

// startNamed runs BIND with the zone example.net, signed for some time if lasts is not zero.
func startNamed(t *testing.T, serial int, lasts time.Duration) (port int) {
	t.Helper()
	testenv.RequirePrograms(t, map[string]string{
		"/usr/sbin/named": "bind9", "dnssec-signzone": "bind9-utils", "dnssec-keygen": "bind9-utils",
	})
	dir, port := openDirectory(t), testenv.FreePort(t)
	writeFile(t, dir, "zone", zoneText(serial))
	if lasts != 0 {
		run(t, "", dir, "dnssec-keygen", "-a", "ECDSAP256SHA256", "-f", "KSK", "example.net")
		run(t, "", dir, "dnssec-keygen", "-a", "ECDSAP256SHA256", "example.net")
		run(t, "", dir, "dnssec-signzone", "-S", "-x", "-o", "example.net", "-f", "signed",
			"-e", fmt.Sprintf("now+%d", int(lasts.Seconds())), "zone")
		if err := os.Rename(dir+"/signed", dir+"/zone"); err != nil {
			t.Fatal(err)
		}
	}
	runNamed(t, dir, port, "example.net")
	return port
}

// startParent runs BIND with the zone net, which delegates example.net.
func startParent(t *testing.T, glue string) (port int) {
	t.Helper()
	dir, port := openDirectory(t), testenv.FreePort(t)
	writeFile(t, dir, "zone", "$TTL 60\n@ SOA ns.net. h.net. 1 60 60 86400 60\n@ NS ns\nns A 192.0.2.1\n"+
		"example NS ns1.example\nexample NS ns2.example\nns1.example A "+glue+"\nns2.example A 127.0.0.2\n")
	runNamed(t, dir, port, "net")
	return port
}

func runNamed(t *testing.T, dir string, port int, zone string) {
	t.Helper()
	config := writeFile(t, dir, "named.conf", fmt.Sprintf(`options {
  directory %[1]q; pid-file none; session-keyfile none; managed-keys-directory %[1]q;
  listen-on port %[2]d { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; dnssec-validation no;
};
controls {};
zone %[3]q { type primary; file "zone"; };
`, dir, port, zone))
	startServer(t, port, "/usr/sbin/named", "-f", "-4", "-n", "1", "-c", config)
}

// startKnot runs Knot with the zone.
func startKnot(t *testing.T, serial int) (port int) {
	t.Helper()
	testenv.RequirePrograms(t, map[string]string{"/usr/sbin/knotd": "knot"})
	dir, port := openDirectory(t), testenv.FreePort(t)
	zone := writeFile(t, dir, "zone", zoneText(serial))
	config := writeFile(t, dir, "knot.conf", fmt.Sprintf(`server:
    rundir: %[1]s
    listen: 127.0.0.1@%[2]d
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: %[1]s
zone:
  - domain: example.net
    storage: %[1]s
    file: %[3]s
    zonefile-load: whole
    journal-content: none
`, dir, port, zone))
	startServer(t, port, "/usr/sbin/knotd", "-c", config)
	return port
}

// realDNS asks one server until it has loaded its zone.
func realDNS(t *testing.T, port int, o catalog.DNS) probe.Result {
	t.Helper()
	check := dnsCheck(port, o)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		loaded := once(t, probe.Kernel{}, dnsCheck(port, catalog.DNS{Query: "example.net", Type: "SOA"}), "127.0.0.1")
		if loaded.Outcome.Good() || time.Now().After(deadline) {
			return once(t, probe.Kernel{}, check, "127.0.0.1")
		}
	}
}

func TestBINDAndKnotAnswerDNSChecks(t *testing.T) {
	for name, port := range map[string]int{"BIND": startNamed(t, 7, 0), "Knot": startKnot(t, 7)} {
		for question, test := range map[string]struct {
			options catalog.DNS
			outcome mesh.Outcome
			reason  string
		}{
			"addresses": {catalog.DNS{
				Query: "web.example.net", Expect: []string{"192.0.2.42", "192.0.2.41"}, Exact: true,
				Authoritative: true,
			}, mesh.Reachable, ""},
			"over TCP": {catalog.DNS{Query: "web.example.net", Transport: "tcp"}, mesh.Reachable, ""},
			"an alias": {catalog.DNS{Query: "www.example.net", Expect: []string{"192.0.2.41"}}, mesh.Reachable, ""},
			"primary": {catalog.DNS{Query: "example.net", Type: "SOA", Expect: []string{"ns1.example.net"}},
				mesh.Reachable, ""},
			"mail": {catalog.DNS{Query: "example.net", Type: "MX", Expect: []string{"mail.example.net"}},
				mesh.Reachable, ""},
			"truncated": {catalog.DNS{Query: "long.example.net", Type: "TXT"}, mesh.Reachable, ""},
			"no name":   {catalog.DNS{Query: "no.example.net"}, mesh.Unreachable, "answered NXDOMAIN"},
			"no record": {catalog.DNS{Query: "web.example.net", Type: "AAAA"}, mesh.Unreachable,
				"answered without a record of type AAAA"},
			"not its zone": {catalog.DNS{Query: "example.org", Rcode: "REFUSED"}, mesh.Reachable, ""},
		} {
			t.Run(name+" "+question, func(t *testing.T) {
				want(t, realDNS(t, port, test.options), test.outcome, test.reason)
			})
		}
	}
}

func TestBINDAndKnotAreCompared(t *testing.T) {
	bind, same, old := startNamed(t, 7, 0), startKnot(t, 7), startKnot(t, 6)
	realDNS(t, same, catalog.DNS{Query: "example.net"})
	realDNS(t, old, catalog.DNS{Query: "example.net"})
	at := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	want(t, realDNS(t, bind, catalog.DNS{SOA: "example.net", Servers: []string{at(same)}}), mesh.Reachable, "")
	want(t, realDNS(t, bind, catalog.DNS{SOA: "example.net", Servers: []string{at(same), at(old)}}), mesh.Unreachable,
		fmt.Sprintf("zone not in step: serial 6 at %s, and 7 at 127.0.0.1", at(old)))
}

func TestBINDsDelegationIsCompared(t *testing.T) {
	child := startKnot(t, 7)
	for glue, test := range map[string]struct {
		outcome mesh.Outcome
		reason  string
	}{
		"127.0.0.1": {mesh.Reachable, ""},
		"127.0.0.9": {mesh.Unreachable,
			`answered "127.0.0.1" for "ns1.example.net", and the zone above has "127.0.0.9"`},
	} {
		parent := []string{fmt.Sprintf("127.0.0.1:%d", startParent(t, glue))}
		o := catalog.DNS{Delegation: "example.net", Parent: parent}
		want(t, realDNS(t, child, o), test.outcome, test.reason)
	}
}

func TestBINDsSignaturesEnd(t *testing.T) {
	for lasts, text := range map[time.Duration]string{
		100 * time.Hour: "DNSSEC signature ends in 4 days", 20 * 24 * time.Hour: "",
	} {
		o := catalog.DNS{Query: "web.example.net", SignatureDays: 7}
		got := realDNS(t, startNamed(t, 7, lasts), o)
		found := ""
		if got.Expiry != nil {
			found = got.Expiry.Describe(time.Now())
		}
		if want(t, got, mesh.Reachable, ""); found != text {
			t.Errorf("%v: %q", lasts, found)
		}
	}
}
