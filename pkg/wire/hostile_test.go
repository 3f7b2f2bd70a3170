package wire

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestErrorsAreDistinguished(t *testing.T) {
	for data, want := range map[string]error{
		`{"v":1,"e":"1","o":[{"h":"a","k":"b","t":9000000,"s":"+"}]}`:                  error(ErrTime),
		`{"v":1,"e":"1","o":[{"h":"a","k":"b","t":0,"el":-1,"s":"+"}]}`:                ErrTime,
		`{"v":1,"e":"1","o":[{"h":"a","k":"b","t":-172800000000,"s":"+"}]}`:            ErrTooOld,
		`{"v":1,"e":"1","o":[{"h":"a","k":"` + strings.Repeat("k", 101) + `","t":0}]}`: ErrTooLarge,
	} {
		if _, err := DecodeBatch([]byte(data), time.Second, 0, received); !errors.Is(err, want) {
			t.Errorf("%.60s: %v, wanted %v", data, err, want)
		}
	}
	for expiry, want := range map[string]error{
		// JSON has no year after 9999, and a snapshot is written as JSON.
		`{"k":"certificate","t":253402300800}`:                       ErrTime,
		`{"k":"certificate","t":-1}`:                                 ErrTime,
		`{"k":"certificate","n":"` + strings.Repeat("k", 301) + `"}`: ErrTooLarge,
		`{"k":"certificate","t":253402300799}`:                       nil,
	} {
		data := `{"v":1,"e":"1","o":[{"t":0,"s":"+","en":` + expiry + `}]}`
		if _, err := DecodeBatch([]byte(data), time.Second, 0, received); !errors.Is(err, want) {
			t.Errorf("%.60s: %v, wanted %v", data, err, want)
		}
	}
	if _, _, err := ParseHeaders(func(string) string { return "-5" }); !errors.Is(err, ErrTime) {
		t.Errorf("an age below zero is %v", err)
	}
}

// Operators read reasons on terminals and pages, which control characters could manipulate. A reason may quote a
// server's greeting, which may contain anything.
func TestAReasonHasPrintableTextOnly(t *testing.T) {
	for _, reason := range []string{"\x1b[2Jgone", "a\nb\r\x00", strings.Repeat("\xff", 299), "\u202egnp.exe"} {
		b := &mesh.Batch{
			Agent: "a", Began: received,
			Observations: []mesh.Observation{
				{Host: "h", Check: "k", Began: received, Reason: reason, Outcome: mesh.Unreachable},
			},
		}
		data, err := EncodeBatch(b)
		if err != nil {
			t.Fatal(err)
		}
		hostile, err := json.Marshal(map[string]any{ // EncodeBatch would remove the control characters
			"v": 1, "e": "1", "ver": reason[:min(len(reason), 9)], "so": reason[:min(len(reason), 9)],
			"o": []any{map[string]any{
				"s": "-", "y": reason[:min(len(reason), 30)],
				"en": map[string]any{"k": mesh.Certificate, "t": 1, "n": reason[:min(len(reason), 30)]},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range [][]byte{data, hostile} {
			got, err := DecodeBatch(data, 0, 0, received)
			if err != nil {
				t.Fatalf("%q: %v", reason, err)
			}
			wantPrintable(t, got)
		}
	}
}

func wantPrintable(t *testing.T, b *mesh.Batch) {
	t.Helper()
	texts := []string{b.Version, b.Revision, b.SpoolOff, b.Refusal.Revision, b.Refusal.Reason}
	for _, o := range b.Observations {
		texts = append(texts, o.Reason)
		if o.Expiry != nil {
			texts = append(texts, o.Expiry.What, o.Expiry.Issuer)
		}
		if o.Lost > o.Sent || o.Sent > SentMax || o.Lost < 0 {
			t.Fatalf("%d of %d probes were lost", o.Lost, o.Sent)
		}
	}
	for _, s := range texts {
		if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q reaches operators", s)
		}
	}
}

func FuzzParseHeaders(f *testing.F) {
	f.Add("7", "1000000")
	f.Add("-1", "9223372036854775807")
	f.Fuzz(func(t *testing.T, a, l string) {
		age, link, err := ParseHeaders(
			func(k string) string { return map[string]string{HeaderAge: a, HeaderLink: l}[k] },
		)
		if err == nil && (age < 0 || age > AgeMax || link < 0 || link > AgeMax) {
			t.Fatalf("%q, %q: %s, %s", a, l, age, link)
		}
	})
}

// FuzzDecodeMessages decodes everything that the coordinator and joining agents send.
func FuzzDecodeMessages(f *testing.F) {
	control, _ := EncodeControl(Control{Round: &mesh.RoundRequest{Round: 9, Host: "nc036"}, Catalog: "0123"})
	roster, _ := EncodeRoster(&mesh.Roster{Vantages: []string{"a", "b"}})
	packed, _ := EncodeCatalog(&catalog.Catalog{})
	join, _ := json.Marshal(
		JoinRequest{V: 1, Host: "nc036", Secret: make([]byte, 16), PublicKey: "U", Seal: make([]byte, 32)},
	)
	token := Token{
		Host: "nc036", Servers: []string{"tls://192.0.2.1:4222"}, Pin: make([]byte, 32), Secret: make([]byte, 16),
	}
	for _, seed := range [][]byte{control, roster, packed, join, []byte(token.String()), []byte("pm1-"), {0x1f, 0x8b}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := DecodeControl(data); err == nil && len(data) > ControlBytesMax {
			t.Fatalf("a control message of %d bytes was decoded: %+v", len(data), c)
		}
		if r, err := DecodeRoster(data); err == nil && len(r.Vantages) > RosterMax {
			t.Fatalf("a roster of %d", len(r.Vantages))
		}
		if c, err := DecodeCatalog(data); err == nil && c == nil {
			t.Fatal("no catalog, and no error")
		}
		var request JoinRequest
		if err := DecodeJoin(data, &request); err == nil && len(data) > joinBytesMax {
			t.Fatalf("a join message of %d bytes was decoded", len(data))
		}
		if token, err := ParseToken(string(data)); err == nil {
			if again, err := ParseToken(token.String()); err != nil || again.Host != token.Host {
				t.Fatalf("a token that was parsed is not parsed again: %v", err)
			}
		}
	})
}
