package wire

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/mesh"
)

var received = time.Date(2026, 11, 24, 2, 31, 7, 0, time.UTC)

// letters are what reasons are drawn from: of one to three bytes, and ones that JSON escapes.
var letters = rapid.RuneFrom([]rune("ab é世:-\"<&"))

// drawBatch draws a batch that an agent could send. Its times are whole microseconds, the unit of the wire.
func drawBatch(t *rapid.T, age time.Duration) *mesh.Batch {
	began := received.Add(-age)
	duration := func(label string, least, most time.Duration) time.Duration {
		us := rapid.Int64Range(least.Microseconds(), most.Microseconds()).Draw(t, label)
		return time.Duration(us) * time.Microsecond
	}
	text := func(label string) string { return rapid.StringOfN(letters, 0, 50, ReasonMax).Draw(t, label) }
	b := &mesh.Batch{
		Agent: "nc036", Epoch: rapid.Uint64().Draw(t, "epoch"), Sequence: rapid.Uint64().Draw(t, "sequence"),
		Revision: "0123456789ab", Version: "v1", Began: began, Clock: duration("clock", -time.Hour, time.Hour),
		Lag: duration("lag", 0, time.Minute), Queued: rapid.IntRange(0, 1000).Draw(t, "queued"),
		Dropped: rapid.Uint64().Draw(t, "dropped"), SpoolOff: text("spool off"),
		Refusal: mesh.Refusal{
			Revision: rapid.SampledFrom([]string{"", "0123456789ab"}).Draw(t, "refused"),
			Reason:   text("refusal"),
		},
		AnchorsFail:  rapid.Bool().Draw(t, "anchors fail"),
		Observations: []mesh.Observation{},
		Gossip: mesh.Gossip{
			Acks: drawGossipEntries(t, "acks", began), Dead: drawGossipEntries(t, "dead", began),
			Proofs: drawGossipEntries(t, "proofs", began),
		},
	}
	outcomes := []mesh.Outcome{mesh.Inconclusive, mesh.Reachable, mesh.Slow, mesh.Unreachable}
	for range rapid.IntRange(0, 5).Draw(t, "observations") {
		elapsed, sent := duration("elapsed", 0, 10*time.Second), rapid.IntRange(0, 9).Draw(t, "sent")
		b.Observations = append(b.Observations, mesh.Observation{
			Host: "nc023", Check: rapid.StringN(1, 20, NameMax).Draw(t, "check"),
			Family:  rapid.SampledFrom([]mesh.Family{mesh.AnyFamily, mesh.IPv4, mesh.IPv6}).Draw(t, "family"),
			Began:   began.Add(duration("began", -time.Minute, 0) - elapsed),
			Elapsed: elapsed, RTT: duration("rtt", 0, elapsed),
			Outcome: rapid.SampledFrom(outcomes).Draw(t, "outcome"),
			Stage:   rapid.SampledFrom([]mesh.Stage{mesh.Settled, mesh.Missed}).Draw(t, "stage"),
			Round:   rapid.Uint64().Draw(t, "round"),
			Sent:    sent, Lost: rapid.IntRange(0, sent).Draw(t, "lost"),
			Reason: text("reason"), Address: text("address"),
			Phases: rapid.SampledFrom([]mesh.Phases{
				{}, {Connect: time.Millisecond, TLS: 2 * time.Millisecond, FirstByte: time.Second, Body: time.Microsecond},
			}).Draw(t, "phases"),
			Expiry: rapid.SampledFrom([]*mesh.Expiry{
				nil, {What: mesh.Certificate, At: received.Add(time.Hour)},
				{What: mesh.Signature, At: received.Add(time.Hour)},
				{What: mesh.Certificate, At: received.AddDate(7000, 0, 0), Issuer: text("issuer")},
			}).Draw(t, "expiry"),
		})
	}
	return b
}

func drawGossipEntries(t *rapid.T, label string, began time.Time) []mesh.GossipEntry {
	var out []mesh.GossipEntry
	for i := range rapid.IntRange(0, 3).Draw(t, label) {
		before := time.Duration(rapid.Int64Range(0, 600e6).Draw(t, "before")) * time.Microsecond
		out = append(out, mesh.GossipEntry{Host: fmt.Sprintf("nc%03d", i), At: began.Add(-before)})
	}
	return out
}

func TestABatchIsDecodedAsItWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		age := time.Duration(rapid.Int64Range(0, 3600e6).Draw(t, "age")) * time.Microsecond
		link := time.Duration(rapid.Int64Range(0, 3600e6).Draw(t, "link")) * time.Microsecond
		want := drawBatch(t, age)
		data, err := EncodeBatch(want)
		if err != nil {
			t.Fatal(err)
		}
		headers := EncodeHeaders(age, link)
		gotAge, gotLink, err := ParseHeaders(func(k string) string { return headers[k] })
		if err != nil || gotAge != age || gotLink != link {
			t.Fatalf("headers %v: %v %v %v", headers, gotAge, gotLink, err)
		}
		got, err := DecodeBatch(data, gotAge, gotLink, received)
		if err != nil {
			t.Fatal(err)
		}
		want.Connected = received.Add(-link)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Every later version must decode the first format.
func TestABatchOfTheFirstFormatIsDecoded(t *testing.T) {
	data, err := os.ReadFile("testdata/batch.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeBatch(data, time.Second, time.Minute, received)
	if err != nil {
		t.Fatal(err)
	}
	want := &mesh.Batch{
		Agent: "nc033", Epoch: 18446744073709551615, Sequence: 7, Revision: "0123456789ab", Version: "v1.0.0",
		Began: received.Add(-time.Second), Connected: received.Add(-time.Minute), Clock: 250 * time.Millisecond,
		Lag: 1500 * time.Microsecond, Queued: 2, Dropped: 3,
		Observations: []mesh.Observation{
			{
				Host:    "nc036",
				Check:   "ping",
				Family:  mesh.IPv4,
				Began:   received.Add(-1100 * time.Millisecond),
				Elapsed: 91 * time.Millisecond,
				RTT:     90 * time.Millisecond,
				Outcome: mesh.Reachable,
				Sent:    1,
			},
			{
				Host:    "nc036",
				Check:   "Sending mail",
				Family:  mesh.IPv4,
				Began:   received.Add(-900 * time.Millisecond),
				Elapsed: 300 * time.Millisecond,
				Outcome: mesh.Unreachable,
				Stage:   mesh.Missed,
				Round:   42,
				Sent:    1,
				Lost:    1,
				Reason:  "refused",
			},
			{
				Host:    "nc036",
				Check:   "new",
				Began:   received.Add(-time.Second),
				Outcome: mesh.Inconclusive,
				Reason:  "agent too old or too new",
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHostileBatchesAreRefused(t *testing.T) {
	longReason, longName := strings.Repeat("1", ReasonMax+1), strings.Repeat("y", NameMax+1)
	for name, data := range map[string]string{
		"no JSON":           `{`,
		"no version":        `{"a":"x","e":"1"}`,
		"ends in future":    `{"v":1,"e":"1","o":[{"h":"a","k":"b","t":9000000,"s":"+"}]}`,
		"negative time":     `{"v":1,"e":"1","o":[{"h":"a","k":"b","t":0,"el":-1,"s":"+"}]}`,
		"long probe":        `{"v":1,"e":"1","o":[{"h":"a","k":"b","t":-900000000,"el":900000000,"s":"+"}]}`,
		"trip over elapsed": `{"v":1,"e":"1","o":[{"h":"a","k":"b","t":-9000,"el":1,"r":9000,"s":"+"}]}`,
		"long address":      `{"v":1,"e":"1","o":[{"h":"a","k":"b","t":0,"s":"-","ip":"` + longReason + `"}]}`,
		"long reason":       `{"v":1,"e":"1","o":[{"h":"a","k":"b","t":0,"s":"-","y":"` + longReason + `"}]}`,
		"long name":         `{"v":1,"e":"1","o":[{"h":"a","k":"` + longName + `","t":0,"s":"-"}]}`,
		"future gossip":     `{"v":1,"e":"1","gossip":{"a":{"b":9000000}}}`,
		"future death":      `{"v":1,"e":"1","gossip":{"d":{"b":9000000}}}`,
		"long gossip name":  `{"v":1,"e":"1","gossip":{"d":{"` + strings.Repeat("y", NameMax+1) + `":0}}}`,
		"many proofs":       `{"v":1,"e":"1","gossip":{"proofs":{"b":0` + manyNames(GossipEntriesMax) + `}}}`,
		"future proof":      `{"v":1,"e":"1","gossip":{"proofs":{"b":9000000}}}`,
		"much gossip":       `{"v":1,"e":"1","gossip":{"a":{"b":0` + manyNames(GossipEntriesMax) + `}}}`,
		"many observations": `{"v":1,"e":"1","o":[` + strings.Repeat(`{"t":0},`, ObservationsMax) + `{"t":0}]}`,
		"many bytes":        strings.Repeat(" ", BatchBytesMax+1),
	} {
		if _, err := DecodeBatch([]byte(data), 0, 0, received); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	big := &mesh.Batch{Observations: make([]mesh.Observation, ObservationsMax+1)}
	if _, err := EncodeBatch(big); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a batch beyond the bound was encoded: %v", err)
	}
	for _, h := range []string{"", "x", "-1"} {
		if _, _, err := ParseHeaders(func(string) string { return h }); err == nil {
			t.Errorf("header %q was accepted", h)
		}
	}
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"h%d":0`, i)
	}
	return b.String()
}

// Gossip beyond its bound is dropped. A batch without gossip does not mention it.
func TestGossipIsBounded(t *testing.T) {
	b := &mesh.Batch{Agent: "a", Began: received, Observations: []mesh.Observation{}}
	if data, _ := EncodeBatch(b); strings.Contains(string(data), "gossip") {
		t.Errorf("%s", data)
	}
	for i := range GossipEntriesMax + 10 {
		b.Gossip.Dead = append(b.Gossip.Dead, mesh.GossipEntry{Host: fmt.Sprintf("h%03d", i), At: received})
	}
	data, err := EncodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeBatch(data, 0, 0, received)
	if err != nil || !cmp.Equal(got.Gossip.Dead, b.Gossip.Dead[:GossipEntriesMax]) {
		t.Errorf("%v %v", got, err)
	}
}

func TestControlRosterCatalog(t *testing.T) {
	want := Control{Round: &mesh.RoundRequest{Round: 9, Host: "nc036"}, Catalog: "0123"}
	data, _ := EncodeControl(want)
	if got, err := DecodeControl(data); err != nil || !cmp.Equal(want, got) {
		t.Errorf("control %v %v", got, err)
	}
	if got, err := DecodeControl([]byte(`{"v":9,"dance":true}`)); err != nil || !cmp.Equal(Control{}, got) {
		t.Errorf("an unknown message is %v %v", got, err)
	}
	roster := &mesh.Roster{Vantages: []string{"a", "b"}}
	data, _ = EncodeRoster(roster)
	if got, err := DecodeRoster(data); err != nil || !cmp.Equal(roster, got) {
		t.Errorf("roster %v %v", got, err)
	}
	c, err := catalogfile.Parse(
		"x",
		[]byte("regions: [{name: ams}]\nhosts: [{name: A, region: ams, address: 192.0.2.1}]"),
		func(string) (string, bool) { return "", false },
	)
	if err != nil {
		t.Fatal(err)
	}
	if data, err = EncodeCatalog(c); err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeCatalog(data); err != nil || !cmp.Equal(c, got) {
		t.Errorf("catalog %v %v", got, err)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	seed, err := os.ReadFile("testdata/batch.v1.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(
		[]byte(
			`{"v":1,"a":"x","e":"1","n":1,"w":0,"gossip":{` +
				`"a":{"nc036":-200000},"d":{"nc023":-9000000},"proofs":{"nc036":-100000}}}`,
		),
	)
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBatch(data, time.Second, time.Minute, received)
		if err != nil {
			return
		}
		for _, o := range b.Observations {
			if o.Ended().After(received.Add(time.Second)) || o.RTT < 0 {
				t.Fatalf("impossible observation %+v", o)
			}
		}
		for _, r := range slices.Concat(b.Gossip.Acks, b.Gossip.Dead, b.Gossip.Proofs) {
			if r.At.After(received.Add(time.Second)) || len(r.Host) > NameMax ||
				max(len(b.Gossip.Dead), len(b.Gossip.Proofs)) > GossipEntriesMax {
				t.Fatalf("impossible gossip %+v", r)
			}
		}
		wantPrintable(t, b)
	})
}

// BenchmarkDecodeBatch reports the cost and the size of one observation on the wire: of a batch as it is sent, and with
// a space that makes encoding/json read it.
func BenchmarkDecodeBatch(b *testing.B) {
	full := &mesh.Batch{Agent: "nc036", Began: received.Add(-time.Second)}
	for range 100 {
		full.Observations = append(full.Observations, mesh.Observation{
			Host: "nc023", Check: "Sending mail", Family: mesh.IPv4, Began: received.Add(-time.Second),
			Elapsed: 91 * time.Millisecond, RTT: 90 * time.Millisecond, Outcome: mesh.Reachable, Sent: 1,
		})
	}
	data, err := EncodeBatch(full)
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name string
		data []byte
	}{{"as-sent", data}, {"by-json", bytes.Replace(data, []byte(`{"v"`), []byte(`{ "v"`), 1)}} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeBatch(way.data, time.Second, time.Minute, received); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/observation")
			b.ReportMetric(float64(len(way.data))/100, "bytes/observation")
		})
	}
}
