package wire_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// first reads from testdata/v1, which has one of each message as the first version wrote it. The files never change.
func first(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/v1", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var at = time.Date(2026, 11, 24, 2, 31, 7, 0, time.UTC)

func TestMessagesOfTheFirstFormatAreDecoded(t *testing.T) {
	if b, err := wire.DecodeBatch(first(t, "batch.json"), time.Second, time.Minute, at); err != nil ||
		b.Agent != "nc033" || len(b.Observations) != 3 || b.Observations[2].Outcome != mesh.Inconclusive {
		t.Errorf("batch %+v %v", b, err)
	}
	for name, want := range map[string]wire.Control{
		"control-look.json":    {Round: &mesh.RoundRequest{Round: 9, Host: "nc036"}},
		"control-catalog.json": {Catalog: "0123456789ab"},
	} {
		if got, err := wire.DecodeControl(first(t, name)); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s %+v %v", name, got, err)
		}
	}
	if r, err := wire.DecodeRoster(first(t, "roster.json")); err != nil ||
		!cmp.Equal(r.Vantages, []string{"nc036", "vp1"}) {
		t.Errorf("roster %+v %v", r, err)
	}
	plain, err := catalog.Decode(first(t, "catalog.json"))
	packed, err2 := wire.DecodeCatalog(first(t, "catalog.gz"))
	if err != nil || err2 != nil || !cmp.Equal(plain, packed) || plain.Revision != "46c851bf2efe" ||
		plain.Host("nc036").Check("Sending mail").Port() != 25 {
		t.Errorf("catalog %v %v", err, err2)
	}
}

func TestJoinMessagesOfTheFirstFormatAreDecoded(t *testing.T) {
	token, err := wire.ParseToken(string(first(t, "token.txt")))
	if err != nil || token.Host != "nc036" || token.Servers[0] != "tls://192.0.2.1:4222" ||
		string(token.Secret) != "sixteen bytes ok" {
		t.Errorf("token %+v %v", token, err)
	}
	var request wire.JoinRequest
	if err := wire.DecodeJoin(first(t, "join-request.json"), &request); err != nil || request.Host != "nc036" ||
		request.PublicKey != "UABC" || len(request.Seal) != 32 {
		t.Errorf("request %+v %v", request, err)
	}
	var answer, refusal wire.JoinAnswer
	if err := wire.DecodeJoin(first(t, "join-answer.json"), &answer); err != nil || string(answer.Sealed) != "sealed" ||
		answer.Refuse != "" {
		t.Errorf("answer %+v %v", answer, err)
	}
	if err := wire.DecodeJoin(first(t, "join-refusal.json"), &refusal); err != nil ||
		refusal.Refuse != "the token has lapsed" {
		t.Errorf("refusal %+v %v", refusal, err)
	}
	var grant wire.JoinGrant
	if err := wire.DecodeJoin(first(t, "join-grant.json"), &grant); err != nil || grant.JWT != "jwt" ||
		grant.Check() != nil {
		t.Errorf("grant %+v %v", grant, err)
	}
}

// The decoders of the first format: what they read of a message, and what they ignored. They stand for the programs of
// that time that still run, and never change.
type (
	frozenBatch struct {
		V            int                 `json:"v"`
		Agent        string              `json:"a"`
		Epoch        uint64              `json:"e,string"`
		Sequence     uint64              `json:"n"`
		Revision     string              `json:"c"`
		Version      string              `json:"ver"`
		Wall         int64               `json:"w"`
		Lag          int64               `json:"lag"`
		Queued       int                 `json:"q"`
		Dropped      uint64              `json:"d"`
		Observations []frozenObservation `json:"o"`
	}
	frozenObservation struct {
		Host    string `json:"h"`
		Check   string `json:"k"`
		Family  uint8  `json:"f"`
		Began   int64  `json:"t"`
		Elapsed int64  `json:"el"`
		RTT     int64  `json:"r"`
		Outcome string `json:"s"`
		Missed  bool   `json:"m"`
		Round   uint64 `json:"l"`
		Sent    int    `json:"p"`
		Lost    int    `json:"x"`
		Reason  string `json:"y"`
	}
	frozenControl struct {
		V    int `json:"v"`
		Look *struct {
			Round uint64 `json:"round"`
			Host  string `json:"host"`
		} `json:"look"`
		Catalog string `json:"catalog"`
	}
	frozenRoster struct {
		V        int      `json:"v"`
		Vantages []string `json:"vantages"`
	}
	frozenToken struct {
		Host    string   `json:"h"`
		Servers []string `json:"s"`
		Pin     []byte   `json:"p"`
		Secret  []byte   `json:"k"`
	}
	frozenRequest struct {
		V         int    `json:"v"`
		Host      string `json:"host"`
		Secret    []byte `json:"secret"`
		PublicKey string `json:"key"`
		Seal      []byte `json:"seal"`
	}
	frozenAnswer struct {
		V      int    `json:"v"`
		Refuse string `json:"refuse"`
		Sealed []byte `json:"sealed"`
	}
	frozenGrant struct {
		JWT     string   `json:"jwt"`
		Servers []string `json:"servers"`
		CA      string   `json:"ca"`
	}
	frozenCatalog struct {
		Revision string `json:"revision"`
		Regions  []struct {
			Name string `json:"name"`
		} `json:"regions"`
		Hosts []struct {
			Name      string   `json:"name"`
			Region    string   `json:"region"`
			Addresses []string `json:"addresses"`
			Checks    []struct {
				Kind     string        `json:"kind"`
				Name     string        `json:"name"`
				Interval time.Duration `json:"interval"`
				Timeout  time.Duration `json:"timeout"`
				Port     int           `json:"port"`
				URL      string        `json:"url"`
			} `json:"checks"`
		} `json:"hosts"`
	}
)

func frozen[T any](t *testing.T, data []byte, err error) (out T) {
	t.Helper()
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Whatever programs write today, a decoder of the first format reads the part that it knows.
func TestBatchesOfTodayAreDecodedByTheFirstFormat(t *testing.T) {
	data, err := wire.EncodeBatch(&mesh.Batch{
		Agent: "nc036", Epoch: 5, Sequence: 7, Revision: "0123456789ab", Version: "v9", Began: at, Clock: time.Second,
		Lag:    3 * time.Millisecond,
		Queued: 2, Dropped: 4, AnchorsFail: true, SpoolOff: "disk full",
		Refusal: mesh.Refusal{Revision: "0123456789ac", Reason: "port 0"},
		Gossip: mesh.Gossip{
			Acks: []mesh.GossipEntry{{Host: "nc1", At: at}}, Proofs: []mesh.GossipEntry{{Host: "nc1", At: at}},
		},
		Observations: []mesh.Observation{{
			Host: "nc023", Check: "ping", Family: mesh.IPv4, Began: at.Add(-time.Second),
			Elapsed: 91 * time.Millisecond, RTT: 90 * time.Millisecond,
			Outcome: mesh.Slow, Stage: mesh.Missed, Round: 42, Sent: 3, Lost: 1, Reason: "slow",
			Expiry: &mesh.Expiry{What: mesh.Certificate, At: at, Issuer: "R3"},
		}},
	})
	b := frozen[frozenBatch](t, data, err)
	want := frozenBatch{
		V: 1, Agent: "nc036", Epoch: 5, Sequence: 7, Revision: "0123456789ab", Version: "v9",
		Wall: at.Add(time.Second).UnixMicro(), Lag: 3000, Queued: 2, Dropped: 4,
		Observations: []frozenObservation{{
			"nc023", "ping", 4, -1e6, 91000, 90000, "~", true, 42, 3, 1, "slow",
		}},
	}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Errorf("batch: %s", diff)
	}
	h := wire.EncodeHeaders(time.Second, time.Minute)
	if h["Probemesh-Age"] != "1000000" || h["Probemesh-Link"] != "60000000" {
		t.Errorf("headers %v", h)
	}
}

func TestOtherMessagesOfTodayAreDecodedByTheFirstFormat(t *testing.T) {
	data, err := wire.EncodeControl(wire.Control{Round: &mesh.RoundRequest{Round: 9, Host: "nc036"}, Catalog: "0123"})
	if c := frozen[frozenControl](t, data, err); c.Look == nil || c.Look.Round != 9 || c.Look.Host != "nc036" ||
		c.Catalog != "0123" {
		t.Errorf("control %+v", c)
	}
	data, err = wire.EncodeRoster(&mesh.Roster{Vantages: []string{"a"}})
	if r := frozen[frozenRoster](t, data, err); r.V < 1 || len(r.Vantages) != 1 {
		t.Errorf("roster %+v", r)
	}
	token := wire.Token{
		Host: "a", Servers: []string{"tls://b:1"}, Pin: make([]byte, 32), Secret: make([]byte, 16),
	}.String()
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "pm1-"))
	if token := frozen[frozenToken](t, raw[:len(raw)-4], err); token.Host != "a" || token.Servers[0] != "tls://b:1" ||
		len(token.Pin) != 32 || len(token.Secret) != 16 {
		t.Errorf("token %+v", token)
	}
}

func TestJoinMessagesOfTodayAreDecodedByTheFirstFormat(t *testing.T) {
	data, err := json.Marshal(
		wire.JoinRequest{V: wire.Version, Host: "a", Secret: []byte("s"), PublicKey: "U", Seal: []byte("k")},
	)
	if r := frozen[frozenRequest](t, data, err); r.V < 1 || r.Host != "a" || string(r.Secret) != "s" ||
		r.PublicKey != "U" || string(r.Seal) != "k" {
		t.Errorf("request %+v", r)
	}
	data, err = json.Marshal(wire.JoinAnswer{V: wire.Version, Sealed: []byte("x"), Clock: 7})
	if a := frozen[frozenAnswer](t, data, err); a.V < 1 || string(a.Sealed) != "x" || a.Refuse != "" {
		t.Errorf("answer %+v", a)
	}
	data, err = json.Marshal(
		wire.JoinGrant{JWT: "j", Servers: []string{"s"}, CA: "c", Gossip: [][]byte{make([]byte, 32)}},
	)
	if g := frozen[frozenGrant](t, data, err); g.JWT != "j" || g.Servers[0] != "s" || g.CA != "c" {
		t.Errorf("grant %+v", g)
	}
}

func TestCatalogsOfTodayAreDecodedByTheFirstFormat(t *testing.T) {
	c, err := catalog.Decode(first(t, "catalog.json"))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := wire.EncodeCatalog(c)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	was, is := frozen[frozenCatalog](t, first(t, "catalog.json"), nil), frozen[frozenCatalog](t, plain, err)
	if diff := cmp.Diff(was, is); diff != "" || len(is.Hosts) != 2 || is.Hosts[0].Checks[1].Port != 25 {
		t.Errorf("catalog: %s", diff)
	}
}

// A catalog of a later version, with fields and a kind of check that this one does not know, is accepted: the agent
// reports that it is too old for that check, and runs the others.
func TestACatalogOfALaterVersionIsAccepted(t *testing.T) {
	later := strings.Replace(
		string(first(t, "catalog.json")),
		`"kind":"ping"`,
		`"kind":"telepathy","distance":"far"`,
		1,
	)
	later = strings.Replace(later, `{"revision"`, `{"season":"winter","revision"`, 1)
	c, err := catalog.Decode([]byte(later))
	if err != nil || c.Host("nc036").Check("ping").Kind != "telepathy" || c.Host("nc036").Check("Sending mail") == nil {
		t.Errorf("%v %+v", err, c)
	}
	const batch = `{"v":9,"e":"1","n":1,"a":"x","new":{"a":[1]},"o":[{"h":"a","k":"b","t":0,"s":"*","new":true},` +
		`{"h":"a","k":"b","t":0,"s":"+","en":{"k":"warranty","t":9}}]}`
	b, err := wire.DecodeBatch([]byte(batch), 0, 0, at)
	if err != nil || b.Observations[0].Outcome != mesh.Inconclusive || b.Observations[1].Expiry != nil ||
		!strings.Contains(b.Observations[0].Reason, "agent too old") {
		t.Errorf("%+v %v", b, err)
	}
}
