package file_test

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func noEnvironment(string) (string, bool) { return "", false }

func parseFile(t testing.TB, path string) (*catalog.Catalog, error) {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file.Parse(path[strings.LastIndex(path, "/")+1:], source, noEnvironment)
}

func TestEveryMistakeIsToldAtOnceWithItsPlace(t *testing.T) {
	_, err := parseFile(t, "testdata/eight-mistakes.yaml")
	want, _ := os.ReadFile("testdata/eight-mistakes.want")
	if err == nil || err.Error()+"\n" != string(want) {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	var mistakes file.Mistakes
	if !errors.As(err, &mistakes) || len(mistakes) != 8 {
		t.Errorf("%d mistakes, want 8", len(mistakes))
	}
}

func TestTheExampleDescribesTheTenServers(t *testing.T) {
	c, err := parseFile(t, "../../../deploy/examples/ninernet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cities := map[string]int{}
	public := ""
	for _, h := range c.Hosts {
		cities[c.Region(h.Region).City]++
		if h.Public {
			public += h.Name + " "
		}
		if len(h.Checks) < 2 || h.Checks[0].Kind != catalog.KindPing {
			t.Errorf("%s has checks %v", h.Name, h.Checks)
		}
	}
	if len(c.Hosts) != 10 || len(cities) != 8 || cities["Toronto"] != 2 || cities["New York"] != 2 {
		t.Errorf("%d hosts in %v", len(c.Hosts), cities)
	}
	if public != "NC036 NC041 NC033 NC035 NC042 " {
		t.Errorf("public are %s", public)
	}
}

const regions = "regions: [{name: ams}, {name: lon}]\n"

func TestDefaults(t *testing.T) {
	t.Setenv("UNUSED", "")
	c, err := file.Parse("x", []byte(regions+`
defaults: {interval: 20s, timeout: 2s}
hosts:
  - {name: A, region: ams, address: 192.0.2.1}
  - {name: B, region: lon, checks: []}
  - name: C
    region: ams
    address: [192.0.2.3, "2001:db8::3"]
    checks:
      - {kind: tcp, port: 25, critical: false, interval: 1m}
      - {kind: http, url: "https://${NAME}.example.net/$$x", body: "a$"}
rule: {round_every: 2s}
`), func(name string) (string, bool) { return "www", name == "NAME" })
	if err != nil {
		t.Fatal(err)
	}
	ping := catalog.Check{
		ID: catalog.FirstCheckID("A", "ping"), Kind: "ping", Name: "ping", Options: catalog.Ping{}, Critical: true,
		Interval: 20 * time.Second, Timeout: 2 * time.Second,
	}
	if diff := cmp.Diff([]catalog.Check{ping}, c.Hosts[0].Checks); diff != "" {
		t.Errorf("a host with an address and nothing else: %s", diff)
	}
	if len(c.Hosts[1].Checks) != 0 {
		t.Errorf("a vantage only has checks %v", c.Hosts[1].Checks)
	}
	want := []catalog.Check{
		{
			ID:   catalog.FirstCheckID("C", "tcp 25"),
			Kind: "tcp", Name: "tcp 25", Options: catalog.TCP{Port: 25}, Interval: time.Minute,
			Timeout: 2 * time.Second,
		},
		{
			ID:   catalog.FirstCheckID("C", "http 443"),
			Kind: "http", Name: "http 443", Critical: true, Interval: 20 * time.Second, Timeout: 2 * time.Second,
			Options: catalog.HTTP{URL: "https://www.example.net/$x", Status: 200, Body: "a$"},
		},
	}
	if diff := cmp.Diff(want, c.Hosts[2].Checks); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]mesh.Family{mesh.IPv4, mesh.IPv6}, c.Hosts[2].Families()); diff != "" {
		t.Error(diff)
	}
	if c.Rule.RoundEvery != 2*time.Second || c.Rule.Silence != 6*time.Second || c.Page.Title != "Status" {
		t.Errorf("rule %+v, page %+v", c.Rule, c.Page)
	}
}

func TestMistakes(t *testing.T) {
	const host = "{name: A, region: ams, address: 192.0.2.1, "
	for _, c := range []struct{ name, source, want string }{
		{"empty", "", "1:1: the catalog is empty"},
		{"not YAML", "hosts: [", "not YAML"},
		{"not a mapping", "- a", "1:1: the catalog is not a mapping"},
		{"two documents", "regions: []\n---\nhosts: []", "a second document"},
		{"no hosts", regions, "there are no hosts"},
		{"empty hosts", regions + "hosts: []", "2:8: there are no hosts"},
		{"no regions", "hosts: [{name: A, region: x, address: 192.0.2.1}]", "there are no regions"},
		{"duplicate key", regions + "hosts: [{name: A, name: B, region: ams, address: 192.0.2.1}]",
			`2:19: "name" is given twice`},
		{"duplicate region", "regions: [{name: ams}, {name: ams}]\nhosts: [" + host + "}]",
			`there are two regions "ams"`},
		{"bad region", "regions: [{name: Ams!}]\nhosts: []", `"Ams!" is not usable`},
		{"bad country", "regions: [{name: ams, country: Holland}]\nhosts: []", `"Holland" is not a country code`},
		{"latitude", "regions: [{name: ams, latitude: 91}]\nhosts: []", `latitude is "91"`},
		{"host name", regions + "hosts: [{name: '>', region: ams, address: 192.0.2.1}]", `">" is not usable`},
		{"no name", regions + "hosts: [{region: ams, address: 192.0.2.1}]", "a host has no name"},
		{"no address", regions + "hosts: [{name: A, region: ams}]", "has no address"},
		{"checks without an address", regions + "hosts: [{name: A, region: ams, checks: [{kind: ping}]}]",
			"checks and no address"},
		{"unspecified", regions + "hosts: [{name: A, region: ams, address: 0.0.0.0}]", "not a host's address"},
		{"two of a family", regions + "hosts: [{name: A, region: ams, address: [192.0.2.1, 192.0.2.2]}]",
			"cannot go together"},
		{"two names", regions + "hosts: [{name: A, region: ams, address: [a.example, b.example]}]",
			"cannot go together"},
		{"a list where text is", regions + "hosts: [{name: [A], region: ams, address: 192.0.2.1}]", "name is not text"},
		{"boolean", regions + "hosts: [" + host + "public: yes}]", `public is "yes"; write true or false`},
		{"port on a ping", regions + "hosts: [" + host + "checks: [{kind: ping, port: 1}]}]",
			`a check has no key "port"`},
		{"no port", regions + "hosts: [" + host + "checks: [{kind: tcp}]}]", "a tcp check has no port"},
		{"no kind", regions + "hosts: [" + host + "checks: [{port: 1}]}]", "has no kind"},
		{"two checks that differ in case alone",
			regions + "hosts: [" + host + "checks: [{kind: ping}, {kind: tcp, port: 1, name: Ping}]}]", `two checks "Ping"`},
		{"a control character", regions + "hosts: [" + host + "checks: [{kind: ping, name: \"a\\x7f\"}]}]",
			"x:2:80: name has the character U+007F, which readers do not see; take it out"},
		{"a C1 control character", regions + "hosts: [" + host + "role: \"a\\u0085\"}]", "role has the character U+0085"},
		{"a character that turns others round", regions + "hosts: [" + host + "checks: [{kind: ping, name: \"a\u202eb\"}]}]",
			"the character U+202E"},
		{"a space without width", regions + "hosts: [" + host + "title: \"NC\u200b036\"}]", "title has the character U+200B"},
		{"a label with a mark of direction", regions + "hosts: [" + host + "labels: {\"a\u200f\": b}}]",
			"a label's name has the character U+200F"},
		{"a link with a line separator",
			regions + "page: {links: {\"a\u2028\": 'http://a.example/'}}\nhosts: [" + host + "}]",
			"a link's name has the character U+2028"},
		{"a slash alone", regions + "hosts: [" + host + "checks: [{kind: ping, name: /}]}]",
			`the check's name "/" cannot be part of its page's address; add a letter or a digit`},
		{"two dots", regions + "hosts: [" + host + "checks: [{kind: ping, name: ..}]}]", `name ".." cannot be part`},
		{"an empty was", regions + "hosts: [" + host + "was: ' '}]", "was is no name"},
		{"two checks of a name", regions + "hosts: [" + host + "checks: [{kind: ping}, {kind: ping}]}]",
			`two checks "ping"`},
		{"timeout", regions + "hosts: [" + host + "checks: [{kind: ping, interval: 2s, timeout: 2s}]}]",
			"not shorter than the interval"},
		{"duration", regions + "hosts: [" + host + "checks: [{kind: ping, interval: 10}]}]", "not a duration"},
		{"url", regions + "hosts: [" + host + "checks: [{kind: http, url: www.example.net}]}]", "without http://"},
		{"status", regions + "hosts: [" + host + "checks: [{kind: http, url: 'http://a.example', status: 999}]}]",
			`status is "999"`},
		{
			"certificate of plain http",
			regions + "hosts: [" + host + "checks: [{kind: http, url: 'http://a.example', certificate_days: 9}]}]",
			"has no certificate",
		},
		{"certificate of plain tcp",
			regions + "hosts: [" + host + "checks: [{kind: tcp, port: 1, certificate_days: 9}]}]", "has no certificate"},
		{"server name", regions + "hosts: [" + host + "checks: [{kind: tls, server_name: 192.0.2.1}]}]",
			`2:86: server_name "192.0.2.1" is not a host's name`},
		{"authority", regions + "hosts: [" + host + "checks: [{kind: tls, ca: own.pem}]}]",
			`ca is "own.pem"; write the absolute path of a file`},
		{"tls twice", regions + "hosts: [" + host + "checks: [{kind: imap, tls: true, starttls: true}]}]",
			"tls and starttls exclude one another"},
		{"certificate of plain mail", regions + "hosts: [" + host + "checks: [{kind: smtp, certificate_days: 9}]}]",
			"a check of smtp without TLS has no certificate"},
		{"public", regions + "hosts: [" + host + "checks: [{kind: ping, public: maybe}]}]", `public is "maybe"`},
		{"none is public", regions + "hosts: [" + host + "public: true, checks: [{kind: ping, public: false}]}]",
			"is public, and none of its checks is; take public: false out of one of them"},
		{"port of tls", regions + "hosts: [" + host + "checks: [{kind: tls, port: 0}]}]", `port is "0"`},
		{"variable", regions + "hosts: [" + host + "role: '${NOT_SET}'}]", "no variable NOT_SET"},
		{"half a variable", regions + "hosts: [" + host + "role: '${NOT'}]", "is not a variable"},
		{"alias", regions + "hosts: [" + host + "role: &a x}]", "anchors, aliases and tags"},
		{"a key without a value", regions + "hosts: [" + host + "checks: [{kind: tcp, port: }]}]",
			`2:73: "port" has no value in a check`},
		{"null", regions + "hosts: [" + host + "checks: [{kind: tcp, port: null}]}]", `"port" has no value`},
		{
			"checks without a value", regions + "hosts:\n  - name: A\n    region: ams\n    address: 192.0.2.1\n    checks:\n",
			`6:5: "checks" has no value`,
		},
		{"a label without a value", regions + "hosts: [" + host + "labels: {rack: }}]",
			`"rack" has no value in labels`},
		{"a section without a value", regions + "hosts: [" + host + "}]\nrule:\n", `3:1: "rule" has no value`},
		{"hosts without a value", regions + "hosts:\n", `2:1: "hosts" has no value`},
		{"an item without a value", regions + "hosts: [" + host + "address: [ , 192.0.2.1]}]", "2:"},
		{"a port of a URL", regions + "hosts: [" + host + "checks: [{kind: http, url: 'http://a.example:86636/'}]}]",
			`the port of the URL: "86636" is not a port`},
		{
			"a password in a URL", regions + "hosts: [" + host + "checks: [{kind: http, url: 'http://u:SECRET@a.example/'}]}]",
			"a user or password stands in the URL",
		},
		{
			"a password in a link", regions + "page: {links: {Home: 'http://u:SECRET@a.example/'}}\nhosts: [" + host + "}]",
			"a user or password stands in the URL",
		},
		{"a password in an address", regions + "hosts: [{name: A, region: ams, address: 'u:SECRET@a.example'}]",
			`"...@a.example" is not a host`},
		{"a zone", regions + "hosts: [{name: A, region: ams, address: 'fe80::1%eth0'}]", "has a zone"},
		{"IPv6 that YAML reads as a key", regions + "hosts:\n  - name: A\n    region: ams\n    address: fe80::\n",
			`put the IPv6 address in quotes`},
		{"UTF-16", "\xff\xfer\x00e\x00", "1:1: the file is UTF-16"},
		{"UTF-16 without a mark", "r\x00e\x00g\x00", "1:1: the file is UTF-16"},
		{"Latin 1", "regions:\n  - {name: ams, city: M\xfcnchen}\n", "2:24: the file is not UTF-8"},
		{"too deep", "regions: " + strings.Repeat("[", 40_000), "1:74: lists and mappings nest deeper than 64"},
		{"rule", regions + "hosts: [" + host + "}]\nrule: {down_share: 2}", `down_share is "2"`},
		{"rule that contradicts itself",
			regions + "hosts: [" + host + "}]\nrule:\n  wait_min: 2s\n  wait_max: 1s\n  flap_under: 9\n  flap_over: 8",
			"4:13: wait_min is more than wait_max; change one of the two; the manual lists the defaults\nx:6:15: flap_under is"},
		{"rule key", regions + "hosts: [" + host + "}]\nrule: {downshare: 1}", `did you mean "down_share"?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := file.Parse("x", []byte(c.source), noEnvironment)
			if err == nil || !strings.Contains(err.Error(), c.want) || got != nil {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the message repeats a secret: %v", err)
			}
		})
	}
}

// Names may have every character that readers see: those of all scripts, and emoji with their joiners.
func TestNamesOfAllScripts(t *testing.T) {
	for _, name := range []string{
		"a/b", "/a", "a?b#c&d%2F", "<b>", "日本", "שלום", "بريد", "می\u200cخواهم", "👩\u200d🚀", "🔥", "!", "...", "'\"`",
	} {
		source := regions + "hosts: [{name: A, region: ams, address: 192.0.2.1, checks: [{kind: ping, name: " +
			strconv.Quote(name) + "}]}]"
		c, err := file.Parse("x", []byte(source), noEnvironment)
		if err != nil || c.Hosts[0].Checks[0].Name != name {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestEncodeDecode(t *testing.T) {
	c, err := parseFile(t, "../../../deploy/examples/ninernet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	data, err := catalog.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := catalog.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Error(diff)
	}
	nameless := strings.Replace(string(data), c.Revision, "latest", 1)
	if _, err := catalog.Decode([]byte(nameless)); err == nil {
		t.Error("a catalog without a revision was taken")
	}
}

// A program of the version before knows fewer numbers of the rule, and a later one more.
func TestDecodeOfAnotherVersion(t *testing.T) {
	data := []byte(`{"revision":"0123456789ab","page":{"title":"Status"},"rule":{"ok_share":0.3,"brightness":7}}`)
	c, err := catalog.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	want := catalog.DefaultRule()
	want.OKShare = 0.3
	if c.Rule != want {
		t.Errorf("got %+v", c.Rule)
	}
}

// Every number of the rule stands in the manual with its default, under the key that the file takes.
func TestRuleIsDocumented(t *testing.T) {
	manual, err := os.ReadFile("../../../deploy/docs/configure.md")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	source.WriteString(
		"regions: [{name: a, anchors: [192.0.2.1, \"192.0.2.2:53\"]}]\n" +
			"hosts: [{name: h, region: a, address: 192.0.2.3}]\nrule:\n",
	)
	rule := reflect.ValueOf(catalog.DefaultRule())
	for i := range rule.NumField() {
		key, value := rule.Type().Field(i).Tag.Get("json"), fmt.Sprint(rule.Field(i).Interface())
		fmt.Fprintf(&source, "  %s: %s\n", key, value)
		if row := fmt.Sprintf("| `%s` | %s |", key, written(value)); !strings.Contains(string(manual), row) {
			t.Errorf("configure.md has no row %s", row)
		}
	}
	c, err := file.Parse("rule.yaml", []byte(source.String()), os.LookupEnv)
	if err != nil || c.Rule != catalog.DefaultRule() {
		t.Errorf("the defaults, written out: %v", err)
	}
}

// written is a number as people write it: 1m, not 1m0s.
func written(value string) string {
	if value == "1h0m0s" || value == "1m0s" || value == "5m0s" {
		return strings.TrimSuffix(strings.TrimSuffix(value, "0s"), "0m")
	}
	return value
}

func FuzzParse(f *testing.F) {
	for _, path := range []string{"testdata/eight-mistakes.yaml", "../../../deploy/examples/ninernet.yaml"} {
		source, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(source)
	}
	f.Add([]byte(regions + "hosts: [{name: A, region: ams, address: 192.0.2.1, role: '${X}'}]"))
	f.Fuzz(func(t *testing.T, source []byte) {
		c, err := file.Parse("x", source, noEnvironment)
		if err != nil {
			return
		}
		data, err := catalog.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := catalog.Decode(data); err != nil {
			t.Fatalf("what Parse takes, catalog.Decode must take: %v", err)
		}
	})
}

func TestCompare(t *testing.T) {
	old, _ := file.Parse(
		"x",
		[]byte(regions+"hosts: [{name: A, region: ams, address: 192.0.2.1}, {name: B, region: lon, address: 192.0.2.2}]"),
		noEnvironment,
	)
	now, err := file.Parse("x", []byte(regions+`
hosts:
  - name: A
    region: lon
    address: 192.0.2.1
    public: true
    checks: [{kind: ping, interval: 1m}, {kind: tcp, port: 25}]
  - {name: C, region: lon, address: 192.0.2.3}`), noEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range catalog.Compare(old, now) {
		got = append(got, c.String())
	}
	want := []string{
		"A: region lon, was ams", "A: public, was internal", "A ping: interval 1m0s, was 10s", "A tcp 25: added",
		"C: added", "C ping: added", "B: removed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if same := catalog.Compare(now, now); len(same) != 0 {
		t.Errorf("nothing changed: %v", same)
	}
}

// TestMailIsAskedEveryMinute: a check that reads a mail server's greeting has its own default, which the file may
// replace.
func TestMailIsAskedEveryMinute(t *testing.T) {
	for _, test := range []struct {
		defaults, check string
		want            time.Duration
	}{
		{"", `kind: tcp, port: 25, banner: "^220 "`, time.Minute},
		{"", `kind: tcp, port: 995, banner: "^.OK"`, time.Minute},
		{"", `kind: tcp, port: 25`, 10 * time.Second},
		{"", `kind: tcp, port: 26, banner: "^220 "`, 10 * time.Second},
		{"", `kind: tcp, port: 25, banner: "^220 ", interval: 10s`, 10 * time.Second},
		{"", `kind: tcp, port: 25, banner: "^220 ", timeout: 20s`, time.Minute},
		{"defaults: {interval: 10s}\n", `kind: tcp, port: 25, banner: "^220 "`, 10 * time.Second},
		{"defaults: {timeout: 5s}\n", `kind: tcp, port: 25, banner: "^220 "`, time.Minute},
	} {
		source := test.defaults + "regions: [{name: ams}]\n" +
			"hosts: [{name: NC036, region: ams, address: 192.0.2.36, checks: [{" + test.check + "}]}]"
		c, err := file.Parse("test.yaml", []byte(source), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Errorf("%s: %v", test.check, err)
			continue
		}
		if got := c.Hosts[0].Checks[0].Interval; got != test.want {
			t.Errorf("%s%s: every %v, wanted %v", test.defaults, test.check, got, test.want)
		}
	}
}

// Addresses are kept in one spelling, whatever a person typed, and the file may begin with a byte order mark.
func TestAddressesAreReadAsTyped(t *testing.T) {
	for typed, want := range map[string]string{
		"Mail.Example.NET.": "mail.example.net", "bücher.example": "xn--bcher-kva.example",
		"'[2001:DB8::1]'": "2001:db8::1",
		"2001:db8::1":     "2001:db8::1", "::1": "::1", "192.0.2.1": "192.0.2.1",
	} {
		source := "\xef\xbb\xbf" + regions + "hosts:\n  - name: A\n    region: ams\n    address: " + typed + "\n"
		c, err := file.Parse("x", []byte(source), noEnvironment)
		if err != nil || c.Hosts[0].Addresses[0] != want {
			t.Errorf("%s: %v, want %s", typed, err, want)
		}
	}
}

// A file that only brackets fill takes memory in proportion to its size.
func TestDeepFilesTakeLittleMemory(t *testing.T) {
	source := []byte("regions: " + strings.Repeat("[", 40_000))
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = file.Parse("x", source, noEnvironment)
		}
	}).AllocedBytesPerOp()
	if most := int64(64 << 20); allocated > most {
		t.Errorf("%d kB for %d kB of brackets", allocated>>10, len(source)>>10)
	}
}
