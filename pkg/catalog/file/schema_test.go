package file_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/catalog/file"
)

// compiled is the schema as a validator reads it that others wrote.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(file.Schema()))
	compiler := jsonschema.NewCompiler()
	compiler.AssertVocabs()
	schema, compileErr := (*jsonschema.Schema)(nil), error(nil)
	if err == nil {
		err = compiler.AddResource("catalog.json", document)
	}
	if err == nil {
		schema, compileErr = compiler.Compile("catalog.json")
	}
	if err := errors.Join(err, compileErr); err != nil {
		t.Fatal(err)
	}
	return schema
}

// fits returns whether the YAML fits the schema.
func fits(t *testing.T, schema *jsonschema.Schema, source []byte) error {
	t.Helper()
	data, err := yaml.YAMLToJSON(source)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(document)
}

const before = regions + "hosts: [{name: A, region: ams, address: 192.0.2.1, checks: [{"

func TestExamplesFitTheSchema(t *testing.T) {
	schema := compiled(t)
	example, err := os.ReadFile("../../../deploy/examples/ninernet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := fits(t, schema, example); err != nil {
		t.Error(err)
	}
	for _, check := range []string{
		"kind: ping, families: ipv6, latency: 300ms, loss: 0.05",
		"kind: tcp, port: 25, banner: '^220 ', critical: false, needs: [B]",
		"kind: tls, port: 443, certificate_days: 14, ca: /etc/ssl/own-ca.pem",
		"kind: smtp, port: 587, starttls: true, user: probe, password: '${SMTP_PASSWORD}'",
		"kind: imap, tls: true, user: a, password: 'file:/run/p', mailbox: INBOX",
		"kind: dns, query: example.net, type: SOA, expect: [ns1.example.net], authoritative: true",
		"kind: dns, soa: example.net, servers: [192.0.2.53, 198.51.100.53], tolerance: 1h30m",
		"kind: sip, transport: udp, codes: [200, 401]",
		"kind: http, url: 'https://a.example/', status: [200, 300-399], redirects: true, body_json: {a.b: 5}",
		"kind: http, url: 'https://a.example/', status: 200, headers: {Accept: text/html}, redirects: [b.example]",
	} {
		if err := fits(t, schema, []byte(before+check+"}]}]")); err != nil {
			t.Errorf("%s: %v", check, err)
		}
	}
	for _, wrong := range []string{
		"kind: pong", "kind: tcp, port: ftp", "kind: dns, query: a, type: AAA", "kind: sip, transport: sctp",
		"kind: ping, port: 5", "kind: http, url: a, body_json: x", "kind: smtp, starttls: 7",
		"kind: ping, interval: 10",
		"name: x",
	} {
		if fits(t, schema, []byte(before+wrong+"}]}]")) == nil {
			t.Errorf("%s fits", wrong)
		}
	}
}

// TestTheSchemaHasTheKeysOfTheParser compares the keys of each mapping with those that the parser's own messages list.
func TestTheSchemaHasTheKeysOfTheParser(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(file.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	at := func(path ...string) []string {
		node := any(schema)
		for _, name := range path {
			node = node.(map[string]any)[name]
		}
		var keys []string
		for key := range node.(map[string]any)["properties"].(map[string]any) {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		return keys
	}
	mappings := map[string][]string{
		"xyzzy: 1\n" + regions + "hosts: []":                              at(),
		"page: {xyzzy: 1}\n" + regions + "hosts: []":                      at("properties", "page"),
		"defaults: {xyzzy: 1}\n" + regions + "hosts: []":                  at("properties", "defaults"),
		"regions: [{name: ams, xyzzy: 1}]\nhosts: []":                     at("properties", "regions", "items"),
		regions + "hosts: [{name: A, region: ams, xyzzy: 1, checks: []}]": at("properties", "hosts", "items"),
		regions + "hosts: []\nrule: {xyzzy: 1}":                           at("properties", "rule"),
		regions + "hosts: []\nnotify: {xyzzy: 1}":                         at("properties", "notify"),
		regions + "hosts: []\nnotify: {mail: {xyzzy: 1}}":                 at("properties", "notify", "properties", "mail"),
		regions + "hosts: []\nnotify: {channels: [{xyzzy: 1}]}": at("properties", "notify", "properties", "channels",
			"items"),
		regions + "hosts: []\nnotify: {routes: [{xyzzy: 1}]}": at("properties", "notify", "properties", "routes", "items"),
		regions + "hosts: []\nnotify: {routes: [{match: {xyzzy: 1}}]}": at("properties", "notify", "properties",
			"routes", "items", "properties", "match"),
		regions + "hosts: []\nnotify: {routes: [{quiet: {xyzzy: 1}}]}": at("properties", "notify", "properties",
			"routes", "items", "properties", "quiet"),
		regions + "hosts: []\nnotify: {routes: [{escalate: [{xyzzy: 1}]}]}": at("properties", "notify", "properties",
			"routes", "items", "properties", "escalate", "items"),
		regions + "hosts: []\nannounce: [{xyzzy: 1}]": at("properties", "announce", "items"),
		regions + "hosts: []\nincidents: {xyzzy: 1}":  at("properties", "incidents"),
		regions + "hosts: []\nincidents: {templates: [{xyzzy: 1}]}": at("properties", "incidents", "properties",
			"templates", "items"),
		regions + "hosts: []\nsla: {xyzzy: 1}": at("properties", "sla"),
		regions + "hosts: []\nsla: {credits: [{xyzzy: 1}]}": at("properties", "sla",
			"properties", "credits", "items"),
	}
	for _, kind := range catalog.Kinds() {
		mappings[before+fmt.Sprintf("kind: %s, xyzzy: 1}]}]", kind)] = at("$defs", kind)
	}
	for source, want := range mappings {
		_, err := file.Parse("x.yaml", []byte(source), noEnvironment)
		_, rest, found := strings.Cut(fmt.Sprint(err), `has no key "xyzzy"; the keys here are `)
		list, _, _ := strings.Cut(rest, "\n")
		known := strings.Split(list, ", ")
		slices.Sort(known)
		if known = slices.Compact(known); !found || !slices.Equal(known, want) {
			t.Errorf("%s:\nthe parser knows %v\nthe schema has  %v", source, known, want)
		}
	}
}

// Documents that Parse accepts fit the schema, by a validator of others: drawn from every section, with values in all
// forms that people write them.
func TestWhatParseAcceptsFitsTheSchema(t *testing.T) {
	schema := compiled(t)
	accepted := 0
	rapid.Check(t, func(r *rapid.T) {
		source := drawDocument(r)
		if _, err := file.Parse("x.yaml", []byte(source), func(string) (string, bool) { return "7", true }); err != nil {
			return
		}
		accepted++
		if err := fits(t, schema, []byte(source)); err != nil {
			r.Fatalf("%s\n%v", source, err)
		}
	})
	if accepted < 20 {
		t.Errorf("only %d documents were accepted: they show too little", accepted)
	}
}

// drawDocument draws a catalog, which may have mistakes.
func drawDocument(r *rapid.T) string {
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(r, name) }
	some := func(name string, of ...string) string { // of the lines, each or none
		var out []string
		for _, line := range of {
			if rapid.IntRange(0, 3).Draw(r, name) == 0 {
				out = append(out, line)
			}
		}
		return strings.Join(out, "")
	}
	check := pick("check",
		"kind: ping", "kind: tcp, port: 25", "kind: tcp, port: \"25\", banner: 220", "kind: tls, ca: /a/b",
		"kind: smtp, starttls: true, rcpt_to: a@b.example", "kind: imap, tls: true", "kind: pop3, port: ${PORT}",
		"kind: dns, query: example.net, rcode: NXDOMAIN", "kind: dns, query: a.example, type: MX, expect: b.example",
		"kind: dns, soa: a.example, servers: 192.0.2.1", "kind: sip, codes: 200", "kind: sip, transport: tls",
		"kind: http, url: http://a.example/, status: [200, 300-399]", "kind: http, url: http://a.example/, status: \"200\"",
		"kind: http, url: http://a.example/, phases: {tls: 300ms}, redirects: true, headers: {A: 1}",
		"kind: http, url: http://a.example/, body_json: {a.b: true}, method: POST")
	common := some("key", ", critical: false", ", public: true", ", interval: 1m30s", ", latency: 0.3s", ", loss: .05",
		", families: [ipv4]", ", name: 5", ", except: lon", ", needs: B", ", timeout: 1s")
	notify := some("notify", "\n  mail: {server: \"smtp://127.0.0.1:25\", from: a@b.example}", "\n  pending_after: 15m")
	route := some("route", ", after: 1m", ", repeat: 30m", ", fallback: hook", ", match: {host: a, severity: major}",
		", match: {kind: [tcp, ping], label: {tier: 1}}", ", match: {advisory: [silent-agent]}",
		", quiet: {from: \"22:00\", to: \"07:00\", zone: Africa/Lusaka, unless: critical}",
		", escalate: [{after: 15m, channels: [hook]}]")
	return "regions: [{name: ams, latitude: " + pick("latitude", "52", "52.4", "-1e1", "\"5\"") + "}, {name: lon}]\n" +
		"hosts:\n  - {name: A, region: ams, public: true, address: 192.0.2.1, checks: [{kind: ping, name: alive}, {" + check +
		common + "}]}\n  - {name: B, region: lon, labels: {tier: 1}, address: " +
		pick("address", "192.0.2.2", "[192.0.2.2, \"2001:db8::2\"]", "b.example") + "}\n" +
		some(
			"section",
			"page: {title: 5, links: {Home: https://a.example/}}\n",
			"defaults: {interval: 10s, timeout: 2s}\n",
			"sla: {target: 99.9, partial: down, credits: [{below: 99, percent: 10}]}\n",
			"incidents: {publish: after 2m, templates: [{name: a, text: b}]}\n",
			"rule: {probes_min: 3}\n",
			"announce: [{url: \"mastodon://a@b.example/\", what: incidents}]\n",
			"notify:"+notify+"\n  channels: [{name: hook, webhook: https://a.example/, secret: \"${S}\"}]\n"+
				"  routes: [{channels: "+pick("channels", "hook", "[hook]")+route+"}]\n")
}
