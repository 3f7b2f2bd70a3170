package file_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/secret"
)

const notifyMesh = `regions: [{name: a}]
hosts: [{name: NC036, region: a, address: 192.0.2.1, group: Mail}]
`

func environment(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, set := values[name]; return v, set }
}

const notifySection = `notify:
  mail: {server: "smtp://127.0.0.1:25", from: status@example.net, user: u, password: "${SMTP}"}
  channels:
    - {name: hook, webhook: "https://hooks.example.net/${PATH_PART}", secret: "${HOOK_SECRET}"}
    - {name: mail, email: [ops@example.net, night@example.net]}
    - {name: phone, url: "ntfy://ntfy.sh/topic"}
  routes:
    - {channels: [hook, mail]}
    - {match: {group: mail, severity: major}, channels: [phone], after: 1m, repeat: 30m,
       escalate: [{after: 15m, channels: [mail]}], fallback: [mail]}
    - {match: {advisory: [silent-agent, disk]}, channels: mail,
       quiet: {from: "22:00", to: "07:00", zone: Africa/Lusaka, unless: critical}}
  pending_after: 15m
announce: [{url: "mastodon://${TOKEN}@example.social", what: [incidents, posts]}]
`

func TestNotifySection(t *testing.T) {
	env := environment(map[string]string{
		"SMTP": "mark-1", "PATH_PART": "mark-2", "HOOK_SECRET": "mark-3", "TOKEN": "mark-4",
	})
	c, err := file.Parse("c.yaml", []byte(notifyMesh+notifySection), env)
	if err != nil {
		t.Fatal(err)
	}
	n := c.Notify
	if n == nil || len(n.Channels) != 3 || len(n.Routes) != 3 || n.PendingAfter != 15*time.Minute ||
		len(c.Announce) != 1 {
		t.Fatalf("%+v", n)
	}
	want := catalog.Route{
		Match: catalog.Match{Groups: []string{"Mail"}, Severity: catalog.Major}, Channels: []string{"phone"},
		After: time.Minute, Repeat: 30 * time.Minute,
		Escalate: []catalog.Escalation{{After: 15 * time.Minute, Channels: []string{"mail"}}}, Fallback: []string{"mail"},
	}
	if diff := cmp.Diff(want, n.Routes[1]); diff != "" {
		t.Error(diff)
	}
	resolved, err := n.Channels[0].Webhook.Resolve(map[string]secret.Text{"${PATH_PART}": secret.New("x")})
	if err != nil || resolved.Reveal() != "https://hooks.example.net/x" {
		t.Errorf("the webhook is %q (%v)", resolved.Reveal(), err)
	}
	data, err := catalog.Encode(c)
	if err != nil || strings.Contains(string(data), "mark-") {
		t.Errorf("the stored catalog has a secret: %s (%v)", data, err)
	}
	again, err := catalog.Decode(data)
	if diff := cmp.Diff(c, again); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if len(c.References()) != 4 {
		t.Errorf("references %v", c.References())
	}
	agents, err := catalog.Encode(c.ForAgents())
	if err != nil || strings.Contains(string(agents), "hooks.example.net") || strings.Contains(string(agents), "social") {
		t.Errorf("agents get %s (%v)", agents, err)
	}
}

// A mistake that would keep somebody from being notified is reported with its place.
func TestMistakesInNotifyHaveTheirPlace(t *testing.T) {
	channels := "channels: [{name: mail, email: [ops@example.net]}]"
	server := "mail: {server: 'smtp://127.0.0.1', from: a@b.example}"
	for text, want := range map[string]string{
		"notify: {" + channels + ", routes: []}":                                      "there is no mail server",
		"notify: {" + server + "}":                                                    "notify has no channels",
		"notify: {" + server + ", " + channels + "}":                                  "notify has no routes",
		"notify: {channels: [{name: x}], routes: []}":                                 "the channel x has no address",
		"notify: {channels: [{name: X, url: 'a://b'}], routes: []}":                   `the channel's name "X" is not usable`,
		"notify: {channels: [{name: x, url: nothing}], routes: []}":                   "the url has no service",
		"notify: {channels: [{name: x, webhook: 'ftp://a'}], routes: []}":             "correct the URL",
		"notify: {channels: [{name: x, url: 'a://b', secret: s}], routes: []}":        "only a webhook has a secret",
		"notify: {channels: [{name: x, webhook: '${NO}'}], routes: []}":               "no variable NO",
		"notify: {" + server + ", " + channels + ", routes: [{channels: [mial]}]}":    `did you mean "mail"?`,
		"notify: {" + server + ", " + channels + ", routes: [{match: {host: NC37}}]}": "use one of NC036",
		"notify: {" + server + ", " + channels + ", routes: [{match: {severity: bad}}]}": "write minor, major or " +
			"critical",
		"notify: {" + server + ", " + channels + ", routes: [{match: {advisory: [disks]}}]}": `did you mean "disk"?`,
		"notify: {" + server + ", " + channels + ", routes: [{quiet: {from: '25:00', to: '07:00'}}]}": `from is ` +
			`"25:00"`,
		"notify: {" + server + ", " + channels + ", routes: [{quiet: {from: '22:00', to: '07:00', zone: Mars}}]}": "there " +
			"is no time zone",
		"notify: {mail: {server: 'http://x', from: a@b.example}, " + channels + ", routes: []}": "smtps://HOST:PORT",
		"notify: {mail: {server: 'smtp://x', from: nobody}, " + channels + ", routes: []}":      "is not an e-mail address",
		"notify: {" + server + ", " + channels + ", routes: [{repeat: 1s}]}": "repeat: 1s is too short; " +
			"write 1m to 168h",
		"notify: {channels: [{name: h, url: 'a://b'}, {name: h, url: 'a://b'}, {name: m, url: 'a://b'}], " +
			"routes: [{channels: [zzzz]}]}": "use one of h, m",
		"announce: [{url: 'a://b', what: [news]}]": `there is no what "news"`,
	} {
		_, err := file.Parse("c.yaml", []byte(notifyMesh+text), noEnvironment)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "c.yaml:3:") {
			t.Errorf("%s\n\t%v\n\twants %s", text, err, want)
		}
	}
}
