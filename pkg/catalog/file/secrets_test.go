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

func TestHTTPChecks(t *testing.T) {
	const url = "kind: http, url: 'https://www.example.net/', "
	token := func(key string) []catalog.Reference { return []catalog.Reference{{Key: key, Name: "${TOKEN}"}} }
	for check, want := range map[string]struct {
		options catalog.HTTP
		secrets []catalog.Reference
	}{
		"status: [200, 300-399], redirects: true": {
			catalog.HTTP{Statuses: []string{"200", "300-399"}, Redirects: []string{"www.example.net"}}, nil,
		},
		"status: 200-299, method: HEAD, http2: true": {
			catalog.HTTP{Statuses: []string{"200-299"}, Method: "HEAD", HTTP2: true}, nil,
		},
		"body_json: {data.0.state: ready, n: 5}": {
			catalog.HTTP{Status: 200, BodyJSON: map[string]string{"data.0.state": "ready", "n": "5"}}, nil,
		},
		"body_match: '^v[0-9]$', headers: {X-Key: '${TOKEN}', Accept: text/html}": {
			catalog.HTTP{
				Status: 200, BodyMatch: "^v[0-9]$", Headers: map[string]string{"X-Key": "${TOKEN}",
					"Accept": "text/html"},
			}, token("headers.X-Key"),
		},
		"body_match: 'state ${TOKEN}$'": {
			catalog.HTTP{Status: 200, BodyMatch: "state ${TOKEN}$"}, token("body_match"),
		},
		"body_json: {state: ready, key: '${TOKEN}'}": {
			catalog.HTTP{Status: 200, BodyJSON: map[string]string{"state": "ready", "key": "${TOKEN}"}},
			token("body_json.key"),
		},
		"bearer: '${TOKEN}', ca: /ca.pem": {
			catalog.HTTP{Status: 200, Bearer: "${TOKEN}", Verification: catalog.Verification{CA: "/ca.pem"}},
			token("bearer"),
		},
		"user: probe, password: '${TOKEN}', client_certificate: /c.pem, client_key: /k.pem": {
			catalog.HTTP{Status: 200, User: "probe", Password: "${TOKEN}", Verification: catalog.Verification{
				ClientCertificate: "/c.pem", ClientKey: "/k.pem",
			}}, token("password"),
		},
	} {
		got, err := parseSecrets(url + check)
		want.options.URL = "https://www.example.net/"
		if err != nil || !reflect.DeepEqual(got.Options, want.options) || !reflect.DeepEqual(got.Secrets,
			want.secrets) {
			t.Errorf("%s: %+v %+v, %v", check, got.Options, got.Secrets, err)
		}
	}
	for check, want := range map[string]string{
		url + "status: 20":                                         `status is "20"; write a whole number from 100 to 599`,
		url + "status: [200, 700]":                                 `status is "700"`,
		url + "method: GTE":                                        `method is "GTE"; write one of GET`,
		url + "body: a, body_match: b":                             "body_match is for a check without body",
		url + "method: HEAD, body: a":                              "body is for a method whose answers have a body",
		url + "body_json: {a..b: c}":                               "is not a path",
		url + "body_match: '('":                                    "is not a pattern",
		url + "headers: {Host: a}":                                 "the header Host cannot be set",
		url + "bearer: xyzzy":                                      "the bearer is in the catalog itself",
		url + "user: a":                                            "a login has no password",
		url + "redirects: ['x y']":                                 `redirects is "x y"`,
		url + "client_key: /k.pem":                                 "client_key is for a check with client_certificate",
		url + "bodyjson: a":                                        `did you mean "body_json"?`,
		"kind: http, url: 'http://a.example/', http2: true":        "http2 is for an https URL",
		"kind: http, url: 'http://a.example/', bearer: '${TOKEN}'": "credentials without TLS are shown to the network",
	} {
		_, err := parseSecrets(check)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "xyzzy") {
			t.Errorf("%s: %v; want %s", check, err, want)
		}
	}
}
