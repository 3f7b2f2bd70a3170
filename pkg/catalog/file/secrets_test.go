package file_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/catalog/file"
)

var secretEnvironment = map[string]string{
	"TOKEN": "xyzzy-token", "HOST": "www.example.net", "WHOLE": "https://www.example.net/?k=xyzzy-whole",
	"NAME": "Web",
	"BASE": "https://www.example.net",
}

func parseSecrets(check string) (catalog.Check, error) {
	getenv := func(name string) (string, bool) { v, ok := secretEnvironment[name]; return v, ok }
	c, err := file.ParseWith("x.yaml", []byte(regions+
		"hosts:\n  - {name: A, region: ams, address: 192.0.2.1, checks: [{name: '${NAME}', "+check+"}]}\n"), getenv,
		func(reference string) error {
			if reference == "${TOKEN}" || reference == "${HOST}" || reference == "file:/run/token" {
				return nil
			}
			return errors.New("no value of " + reference)
		})
	if err != nil {
		return catalog.Check{}, err
	}
	return c.Hosts[0].Checks[0], nil
}

func TestSecretsStayReferences(t *testing.T) {
	token := []catalog.Reference{{Key: "url", Name: "${TOKEN}"}}
	for check, want := range map[string]struct {
		options catalog.Options
		secrets []catalog.Reference
	}{
		"kind: http, url: 'https://${HOST}/a?k=${TOKEN}&again=${TOKEN}&price=$$5'": {
			catalog.HTTP{URL: "https://www.example.net/a?k=${TOKEN}&again=${TOKEN}&price=$$5", Status: 200}, token,
		},
		"kind: http, url: '${BASE}/${TOKEN}', body: '$$5 ${TOKEN}'": {
			catalog.HTTP{URL: "https://www.example.net/${TOKEN}", Status: 200, Body: "$$5 ${TOKEN}"},
			append(token[:1:1], catalog.Reference{Key: "body", Name: "${TOKEN}"}),
		},
		"kind: http, url: 'https://${HOST}', body: 'file:/run/token'": {
			catalog.HTTP{URL: "https://www.example.net", Status: 200, Body: "file:/run/token"},
			[]catalog.Reference{{Key: "body", Name: "file:/run/token"}},
		},
		"kind: http, url: 'https://${HOST}/$$', body: 'file: not found'": {
			catalog.HTTP{URL: "https://www.example.net/$", Status: 200, Body: "file: not found"}, nil,
		},
		"kind: imap, tls: true, user: 'probe@${HOST}', password: '${TOKEN}'": {
			catalog.IMAP{MailSession: catalog.MailSession{
				Port: 993, TLS: true, User: "probe@${HOST}", Password: "${TOKEN}",
			}},
			[]catalog.Reference{{Key: "user", Name: "${HOST}"}, {Key: "password", Name: "${TOKEN}"}},
		},
		"kind: smtp, starttls: true, user: probe, password: 'file:/run/token'": {
			catalog.SMTP{MailSession: catalog.MailSession{
				Port: 25, StartTLS: true, User: "probe", Password: "file:/run/token",
			}}, []catalog.Reference{{Key: "password", Name: "file:/run/token"}},
		},
		"kind: tcp, port: 25, banner: '^220 ${TOKEN}$'": {
			catalog.TCP{Port: 25, Banner: "^220 ${TOKEN}$"}, []catalog.Reference{{Key: "banner", Name: "${TOKEN}"}},
		},
	} {
		got, err := parseSecrets(check)
		if err != nil || !reflect.DeepEqual(got.Options, want.options) || !reflect.DeepEqual(got.Secrets,
			want.secrets) {
			t.Errorf("%s: %+v %+v, %v", check, got.Options, got.Secrets, err)
		}
		if got.Name != "Web" {
			t.Errorf("the variable in the name is not replaced: %q", got.Name)
		}
	}
}

func TestMistakesInSecretsHaveAPlaceAndNoValue(t *testing.T) {
	for check, want := range map[string]string{
		"kind: http, url: 'https://h.example/?k=${MISSING}'":                      "no value of ${MISSING}",
		"kind: http, url: 'https://h.example/', body: 'file:/missing'":            "no value of file:/missing",
		"kind: http, url: 'https://h.example/', body: 'file:token'":               "not the absolute path",
		"kind: http, url: 'file:/run/token'":                                      "a whole URL cannot be a secret",
		"kind: http, url: '${WHOLE}'":                                             "holds a path or query",
		"kind: http, url: 'https://u:${TOKEN}@h.example/'":                        "a user or password stands in the URL",
		"kind: http, url: 'https://h.example/?k=${TOKEN'":                         "is not a variable",
		"kind: imap, tls: true, user: a, password: xyzzy-x":                       "the password is in the catalog itself",
		"kind: imap, tls: true, password: '${TOKEN}'":                             "password is for a check with user",
		"kind: imap, tls: true, user: a":                                          "a login has no password",
		"kind: imap, user: a, password: '${TOKEN}'":                               "a login without TLS shows",
		"kind: pop3, tls: true, plain_login: true, user: a, password: '${TOKEN}'": "plain_login is for a login without TLS",
		"kind: smtp, rcpt_to: 'a b@c'":                                            "rcpt_to is",
		"kind: smtp, mail_from: 'a@b.example'":                                    "mail_from is for a check with rcpt_to",
		"kind: imap, mailbox: INBOX":                                              "mailbox is for a check with user",
		"kind: tcp, port: 25, banner: '(${TOKEN}'":                                "is not a pattern",
	} {
		_, err := parseSecrets(check)
		var mistakes file.Mistakes
		switch {
		case !errors.As(err, &mistakes) || !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v", check, err)
		case mistakes[0].Line == 1 || mistakes[0].Column == 1:
			t.Errorf("%s: the mistake has no place: %s", check, mistakes[0])
		case strings.Contains(err.Error(), "xyzzy"):
			t.Errorf("%s: the mistake shows a value: %v", check, err)
		}
	}
}
