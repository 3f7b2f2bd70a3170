package catalogs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
)

const addressMark = "mark-of-an-address"

func addressesFile(phone, hook string) string {
	return `regions: [{name: a}]
hosts: [{name: NC036, region: a, address: 192.0.2.1}]
notify:
  mail: {server: "${MAIL}", from: status@example.net}
  channels:
    - {name: mail, email: [ops@example.net]}
    - {name: phone, url: "` + phone + `"}
    - {name: hook, webhook: "${HOOK}", secret: "` + hook + `"}
  routes: [{}]
announce:
  - {url: "mastodon://${TOKEN}@"}
`
}

// A channel that cannot work is a mistake at its place, also where a secret makes it one. Where another program has the
// secrets, only what has none is checked.
func TestAddressesOfChannelsAreChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "phone")
	if err := os.WriteFile(file, []byte("nosuch://"+addressMark+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) {
		value, set := map[string]string{
			"MAIL": "https://" + addressMark + "@x", "HOOK": "ftp://" + addressMark, "TOKEN": addressMark,
		}[name]
		return value, set
	}
	text := addressesFile("file:"+file, "whsec_"+addressMark)
	places := []string{
		"c.yaml:4:18: the mail server's address is not one of smtp",
		"c.yaml:7:26: the url names no service",
		"c.yaml:8:29: the webhook's address is not usable",
		"c.yaml:8:48: the secret after whsec_ is not base64",
		"c.yaml:11:11: the url has not just a host after the secret; write it as mastodon://TOKEN@HOST",
	}
	check := func(env catalogfile.Environment, wants []string) {
		t.Helper()
		_, _, err := catalogfile.ParseLines("c.yaml", []byte(text), env)
		if err == nil {
			t.Fatal("the file is accepted")
		}
		if lines := strings.Split(err.Error(), "\n"); len(lines) != len(wants) {
			t.Errorf("%d mistakes, want %d:\n%v", len(lines), len(wants), err)
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("lacks %q:\n%v", want, err)
			}
		}
		if strings.Contains(err.Error(), addressMark) {
			t.Errorf("a secret is repeated:\n%v", err)
		}
	}
	check(Environment(env), places)
	check(EnvironmentElsewhere(env), places[3:4])
}

// A catalog without a file is checked by the coordinator that has its secrets.
func TestApplyRefusesChannelsThatCannotWork(t *testing.T) {
	v := &vault{getenv: func(string) (string, bool) { return "nosuch://" + addressMark, true }}
	c := &catalog.Catalog{Notify: &catalog.Notify{Channels: []catalog.Channel{
		{Name: "phone", URL: catalog.SecretText{Text: "${PHONE}", References: []string{"${PHONE}"}}},
		{Name: "watch", URL: catalog.SecretText{Text: "ntfy://ntfy.sh/topic"}},
	}}}
	got := v.addressProblems(c)
	if len(got) != 1 || !strings.HasPrefix(got[0], "the channel phone: the url names no service") {
		t.Errorf("%q", got)
	}
	v.getenv = func(string) (string, bool) { return "ntfy://ntfy.sh/topic", true }
	if got := v.addressProblems(c); len(got) > 0 {
		t.Errorf("%q", got)
	}
}
