package file_test

import (
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/catalog/file"
)

// What agents would refuse is a mistake in the file: a catalog that no agent accepts changes nothing.
func TestWhatAgentsRefuseIsAMistake(t *testing.T) {
	const https, password = "kind: http, url: 'https://a.example/', ", ", password: '${P}'"
	for name, test := range map[string]struct{ check, want string }{
		"a long expected value": {
			"kind: dns, query: a.example, type: TXT, expect: '" + strings.Repeat("x", 1025) + "'",
			"it is longer than 1024 bytes; write the record's value",
		},
		"a long variable": {https + "bearer: '${" + strings.Repeat("A", 129) + "}'", "; give it a shorter name"},
		"a long path":     {https + "bearer: 'file:/" + strings.Repeat("a", 1001) + "'", "; use a shorter path"},
		"no user of http": {https + "user: ''" + password, "user is empty; write a name"},
		"no user of imap": {"kind: imap, tls: true, user: '', mailbox: INBOX" + password, "user is empty; write a name"},
		"the longest that are valid": {
			https + "bearer: '${" + strings.Repeat("A", 128) + "}', body: 'file:/" + strings.Repeat("a", 1000) + "'", "",
		},
		"the longest expected value": {"kind: dns, query: a.example, expect: '" + strings.Repeat("x", 1024) + "'", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := file.ParseWith("x.yaml", []byte(regions+
				"hosts:\n  - {name: A, region: ams, address: 192.0.2.1, checks: [{"+test.check+"}]}\n"), noEnvironment,
				func(string) error { return nil })
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "x.yaml:1:1:") {
					t.Errorf("%v, want %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := catalog.Encode(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := catalog.Decode(data); err != nil {
				t.Error(err)
			}
		})
	}
}

// The mistakes of a file come in the same order each time.
func TestMistakesHaveAnOrder(t *testing.T) {
	source := []byte(regions + "hosts: [{name: A, region: ams, address: 192.0.2.1}]\n" +
		"notify: {channels: [{name: n, url: 'ntfy://ntfy.sh/x'}], routes: [{quiet: {unless: major}}]}\n")
	_, first := file.Parse("x", source, noEnvironment)
	if first == nil {
		t.Fatal("quiet has neither from nor to")
	}
	for range 100 {
		if _, err := file.Parse("x", source, noEnvironment); err.Error() != first.Error() {
			t.Fatalf("%v\nbefore:\n%v", err, first)
		}
	}
}

// A mistake in one check's except does not hide that of another.
func TestMistakesInExceptAreIndependent(t *testing.T) {
	_, err := file.Parse("x", []byte(regions+"hosts:\n"+
		"  - {name: A, region: ams, address: 192.0.2.1, checks: [{kind: ping, except: lon}]}\n"+
		"  - {name: B, region: lon, address: 192.0.2.2, checks: [{kind: ping, name: Other, except: nowhere}]}\n"),
		noEnvironment)
	if err == nil || !strings.Contains(err.Error(), "all regions leave out A ping") ||
		!strings.Contains(err.Error(), `there is no region "nowhere"`) {
		t.Error(err)
	}
}
