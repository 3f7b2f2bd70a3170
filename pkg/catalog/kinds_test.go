package catalog_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

var verification = catalog.Verification{ServerName: "mail.example.net", CertificateDays: 14, CA: "/etc/ssl/ca.pem"}

// kinds has a check of each kind, encoded by hand as the first format did: agents and ledgers of other versions read
// it.
var kinds = map[string]catalog.Check{
	`{"kind":"ping","name":"ping","critical":true,"interval":10000000000,"timeout":3000000000}`: {
		Kind: "ping", Options: catalog.Ping{},
	},
	`{"kind":"tcp","name":"tcp","critical":true,"interval":10000000000,"timeout":3000000000,"families":["ipv4"],` +
		`"port":25,"banner":"^220 ","latency":1000000,"loss":0.1}`: {
		Kind: "tcp", Options: catalog.TCP{Port: 25, Banner: "^220 "}, Families: []mesh.Family{mesh.IPv4},
		Latency: time.Millisecond, Loss: 0.1,
	},
	`{"kind":"http","name":"http","critical":true,"interval":10000000000,"timeout":3000000000,` +
		`"url":"https://www.example.net/","status":200,"body":"Sign in","certificate_days":14}`: {
		Kind: "http", Options: catalog.HTTP{
			URL: "https://www.example.net/", Status: 200, Body: "Sign in",
			Verification: catalog.Verification{CertificateDays: 14},
		},
	},
	// An agent of version N-1 must not send another request.
	`{"kind":"http+request","name":"http","critical":true,"interval":10000000000,"timeout":3000000000,` +
		`"url":"https://www.example.net/","body_json":{"state":"ok"},"headers":{"Accept":"text/json"}}`: {
		Kind: "http", Options: catalog.HTTP{
			URL: "https://www.example.net/", BodyJSON: map[string]string{"state": "ok"},
			Headers: map[string]string{"Accept": "text/json"},
		},
	},
	// An agent of version N-1 must not run it as a tcp check without TLS.
	`{"kind":"tcp+tls","name":"tcp","critical":true,"interval":10000000000,"timeout":3000000000,` +
		`"port":993,"tls":true,"server_name":"mail.example.net","certificate_days":14,"ca":"/etc/ssl/ca.pem"}`: {
		Kind: "tcp", Options: catalog.TCP{Port: 993, TLS: true, Verification: verification},
	},
	`{"kind":"tls","name":"tls","critical":true,"interval":10000000000,"timeout":3000000000,` +
		`"port":443,"server_name":"mail.example.net","certificate_days":14,"ca":"/etc/ssl/ca.pem"}`: {
		Kind: "tls", Options: catalog.TLS{Port: 443, Verification: verification},
	},
	`{"kind":"smtp","name":"smtp","critical":true,"interval":10000000000,"timeout":3000000000,"port":587,` +
		`"starttls":true,"server_name":"mail.example.net","certificate_days":14,"ca":"/etc/ssl/ca.pem"}`: {
		Kind: "smtp", Options: catalog.SMTP{
			MailSession: catalog.MailSession{Port: 587, StartTLS: true, Verification: verification},
		},
	},
	// A program of version N-1 refuses an interval of more than an hour.
	`{"kind":"pop3","name":"pop3","critical":true,"interval":3600000000000,"timeout":3000000000,"port":110,` +
		`"shared_interval":5400000000000}`: {
		Kind: "pop3", Options: catalog.POP3{MailSession: catalog.MailSession{Port: 110}}, Interval: 90 * time.Minute,
	},
	`{"kind":"imap","name":"imap","critical":true,"interval":10000000000,"timeout":3000000000,"port":993,"tls":true}`: {
		Kind: "imap", Options: catalog.IMAP{MailSession: catalog.MailSession{Port: 993, TLS: true}},
	},
	`{"kind":"imap+secrets","name":"imap","critical":true,"interval":10000000000,"timeout":3000000000,"port":993,` +
		`"tls":true,"user":"probe","password":"${P}","mailbox":"INBOX","secrets":[{"key":"password","name":"${P}"}]}`: {
		Kind: "imap", Options: catalog.IMAP{
			MailSession: catalog.MailSession{Port: 993, TLS: true, User: "probe", Password: "${P}"}, Mailbox: "INBOX",
		}, Secrets: []catalog.Reference{{Key: "password", Name: "${P}"}},
	},
	`{"kind":"pop3","name":"pop3","critical":true,"interval":10000000000,"timeout":3000000000,"port":110}`: {
		Kind: "pop3", Options: catalog.POP3{MailSession: catalog.MailSession{Port: 110}},
	},
	`{"kind":"dns","name":"dns","critical":true,"interval":10000000000,"timeout":3000000000,"port":53,` +
		`"query":"example.net","type":"MX","expect":["mail.example.net"],"authoritative":true,"signature_days":7}`: {
		Kind: "dns", Options: catalog.DNS{
			Port: 53, Query: "example.net", Type: "MX", Expect: []string{"mail.example.net"}, Authoritative: true,
			SignatureDays: 7,
		},
	},
	`{"kind":"sip","name":"sip","critical":true,"interval":10000000000,"timeout":3000000000,"port":5060,` +
		`"transport":"udp","codes":[200,401]}`: {
		Kind: "sip", Options: catalog.SIP{Port: 5060, Transport: "udp", Codes: []int{200, 401}},
	},
	`{"kind":"telepathy","name":"telepathy","critical":true,"interval":10000000000,"timeout":3000000000}`: {
		Kind: "telepathy",
	},
}

func TestChecksKeepTheirEncoding(t *testing.T) {
	for text, check := range kinds {
		check.Name, check.Critical, check.Timeout = check.Kind, true, 3*time.Second
		check.Interval = cmp.Or(check.Interval, 10*time.Second)
		data, err := json.Marshal(check)
		if err != nil || string(data) != text {
			t.Errorf("%s, %v; want %s", data, err, text)
		}
		var again catalog.Check
		if err := json.Unmarshal(data, &again); err != nil || !reflect.DeepEqual(again, check) {
			t.Errorf("%s is read as %+v, %v", data, again, err)
		}
	}
}

// advisory are the options that change no answer from good to bad.
var advisory = map[string]bool{
	"http CertificateDays": true, "http Phases": true, "tcp CertificateDays": true, "tls CertificateDays": true,
	"smtp CertificateDays": true, "imap CertificateDays": true, "pop3 CertificateDays": true,
	"dns SignatureDays": true, "sip CertificateDays": true,
}

// A check asks something else if any field of its options differs, also one that is added to a kind later, except those
// that only advise operators.
func TestEveryOptionIsPartOfTheQuestion(t *testing.T) {
	fields, tested := 0, map[string]bool{}
	for _, check := range kinds {
		if check.Options == nil {
			continue
		}
		tested[check.Kind] = true
		for _, field := range optionFields(reflect.TypeOf(check.Options)) {
			changed := reflect.New(reflect.TypeOf(check.Options)).Elem()
			changed.Set(reflect.ValueOf(check.Options))
			change(t, changed.FieldByIndex(field.Index))
			other := check
			other.Options = changed.Interface().(catalog.Options)
			if same := check.SameQuestion(&other); same != advisory[check.Kind+" "+field.Name] {
				t.Errorf("%s: with another %s it is the same question: %v", check.Kind, field.Name, same)
			}
			fields++
		}
		if same := check; !check.SameQuestion(&same) {
			t.Errorf("%s: it is not the same question as itself", check.Kind)
		}
	}
	for _, kind := range catalog.Kinds() {
		if !tested[kind] {
			t.Errorf("the kind %s was not tested", kind)
		}
	}
	if fields < 6 {
		t.Errorf("only %d fields were changed", fields)
	}
}

// optionFields lists the fields of options that are keys of a catalog, those of embedded structs too.
func optionFields(of reflect.Type) []reflect.StructField {
	var out []reflect.StructField
	for _, field := range reflect.VisibleFields(of) {
		if !field.Anonymous {
			out = append(out, field)
		}
	}
	return out
}

func change(t *testing.T, field reflect.Value) {
	t.Helper()
	switch field.Kind() {
	case reflect.String:
		field.SetString(field.String() + "x")
	case reflect.Int, reflect.Int64:
		field.SetInt(field.Int() + 1)
	case reflect.Bool:
		field.SetBool(!field.Bool())
	case reflect.Slice:
		element := reflect.New(field.Type().Elem()).Elem()
		change(t, element)
		field.Set(reflect.Append(field, element))
	case reflect.Map:
		field.Set(reflect.ValueOf(map[string]string{"x": "y"}))
	default:
		t.Fatalf("the test cannot change a field of type %s", field.Type())
	}
}

func TestOnlyOptionsOfTheKindAreValid(t *testing.T) {
	const before = `{"revision":"0123456789ab","page":{"title":"x"},"regions":[{"name":"a","city":"","country":"",` +
		`"latitude":0,"longitude":0}],"hosts":[{"name":"H","region":"a","public":true,"addresses":["192.0.2.1"],` +
		`"checks":[`
	const common = `"name":"c","critical":true,"interval":10000000000,"timeout":3000000000`
	for options, valid := range map[string]bool{
		`"kind":"ping"`:                          true,
		`"kind":"tcp","port":25`:                 true,
		`"kind":"tcp"`:                           false,
		`"kind":"tcp","port":65561`:              false,
		`"kind":"tcp","port":25,"banner":"("`:    false,
		`"kind":"tcp+tls","port":993,"tls":true`: true,
		`"kind":"tcp","port":993,"ca":"/ca.pem"`: false,
		// without TLS it would do nothing
		`"kind":"tls","port":443`:                                                 true,
		`"kind":"tls"`:                                                            false,
		`"kind":"imap","port":993,"tls":true`:                                     true,
		`"kind":"imap","tls":true`:                                                false,
		`"kind":"smtp","port":25,"tls":true,"starttls":true`:                      false,
		`"kind":"pop3","port":110,"certificate_days":3`:                           false,
		`"kind":"pop3","port":110,"user":"a"`:                                     false,
		`"kind":"pop3","port":995,"tls":true,"user":"a","password":"b\r\nDELE 1"`: false,
		`"kind":"smtp","port":25,"rcpt_to":"a@b>\r\nDATA"`:                        false,
		`"kind":"smtp","port":25,"rcpt_to":"a@b.example"`:                         true,
		`"kind":"imap","port":993,"tls":true,"mailbox":"INBOX"`:                   false,
		`"kind":"tls","port":443,"ca":"ca.pem"`:                                   false,
		`"kind":"tls","port":443,"server_name":"::"`:                              false,
		`"kind":"dns","port":53,"query":"example.net"`:                            true,
		`"kind":"sip","port":5060,"codes":[200,401]`:                              true,
		`"kind":"sip","port":5060,"codes":[100]`:                                  false,
		`"kind":"sip","port":5060,"transport":"sctp"`:                             false,
		`"kind":"sip","port":5060,"ca":"/ca.pem"`:                                 false,
		`"kind":"dns","port":53`:                                                  false,
		`"kind":"dns","port":53,"query":"a","soa":"a","servers":["192.0.2.1"]`:    false,
		`"kind":"dns","port":53,"soa":"a"`:                                        false,
		`"kind":"dns","port":53,"soa":"a","servers":["192.0.2.1"]`:                true,
		`"kind":"dns","port":53,"soa":"a","servers":["x y"]`:                      false,
		`"kind":"dns","port":53,"query":"a","type":"AXFR"`:                        false,
		`"kind":"dns","port":53,"query":"a b"`:                                    false,
		`"kind":"dns","port":53,"query":"a","exact":true`:                         false,
		`"kind":"dns","port":53,"query":"a","transport":"tls"`:                    false,
		`"kind":"dns","port":53,"query":"a","tolerance":-1`:                       false,
		`"kind":"http","url":"http://a.example/"`:                                 true,
		`"kind":"http","url":"http://a.example:0/"`:                               false,
		`"kind":"http","url":"http://u:p@a.example"`:                              false,
		`"kind":"http","url":"http://a.example/","ca":"/ca.pem"`:                  false,
		`"kind":"http","url":"http://a.example/","phases":{"tls":"300ms"}`:        true,
		`"kind":"http","url":"http://a.example/","phases":{"dns":"300ms"}`:        false,
		`"kind":"http","url":"http://a.example/","phases":{"tls":"soon"}`:         false,
		`"kind":"http","url":"http://a.example/","http2":true`:                    false,
		`"kind":"http","url":"http://a.example/","statuses":["200-299","301"]`:    true,
		`"kind":"http","url":"http://a.example/","statuses":["299-200"]`:          false,
		`"kind":"http","url":"http://a.example/","method":"DELETE"`:               false,
		`"kind":"http","url":"http://a.example/","method":"HEAD","body":"x"`:      false,
		`"kind":"http","url":"http://a.example/","headers":{"Host":"b"}`:          false,
		`"kind":"http","url":"http://a.example/","headers":{"A":"b\r\nC: d"}`:     false,
		`"kind":"http","url":"http://a.example/","user":"a"`:                      false,
		`"kind":"http","url":"http://a.example/","body_match":"("`:                false,
		`"kind":"http","url":"http://a.example/","body_json":{"a..b":"x"}`:        false,
		`"kind":"http","url":"http://a.example/","redirects":["x y"]`:             false,
		`"kind":"http"`:      false,
		`"kind":"telepathy"`: true,
		// of a later version: inconclusive
	} {
		_, err := catalog.Decode([]byte(before + "{" + options + "," + common + `}]}],"rule":{}}`))
		if (err == nil) != valid {
			t.Errorf("%s: %v", options, err)
		}
	}
}

// The order of a list is no part of the question.
func TestTheOrderOfAListIsTheSameQuestion(t *testing.T) {
	check := func(values ...string) *catalog.Check {
		return &catalog.Check{Kind: "dns", Options: catalog.DNS{Port: 53, Query: "a", Expect: values}}
	}
	if !check("1", "2").SameQuestion(check("2", "1")) || check("1", "2").SameQuestion(check("1")) {
		t.Error("the values in another order, or fewer of them")
	}
}

// A check may use TLS and references to secrets at once.
func TestATLSCheckWithSecretsKeepsItsKind(t *testing.T) {
	check := catalog.Check{
		Kind: "tcp", Name: "x", Options: catalog.TCP{Port: 993, TLS: true, Banner: "${GREETING}"},
		Secrets: []catalog.Reference{{Key: "banner", Name: "GREETING"}},
	}
	data, err := json.Marshal(check)
	var again catalog.Check
	if err := errors.Join(err, json.Unmarshal(data, &again)); err != nil || !reflect.DeepEqual(again, check) {
		t.Errorf("%s is read as %+v, %v", data, again, err)
	}
}
