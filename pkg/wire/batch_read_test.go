package wire

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// wantReadAlike compares readBatch with encoding/json, and reports whether the fast way read the data.
func wantReadAlike(t *testing.T, data []byte) bool {
	t.Helper()
	var want batch
	wantErr := json.Unmarshal(data, &want)
	got, err := readBatch(data)
	if (err != nil) != (wantErr != nil) || err == nil && !reflect.DeepEqual(*got, want) {
		t.Fatalf("%s\n is read as %+v (%v)\n and by encoding/json as %+v (%v)", data, got, err, want, wantErr)
	}
	c := cursor{data: data}
	c.batch()
	return !c.failed && c.at == len(data)
}

var oddTexts = []string{
	"", "nc033", "tcp-25",
	"220 <mail> ready & \"well\"\\", "é ü \u2028 \U0001f600", "\xff\xfe", "a\x00b\x1f\x7f", "}],{",
	`\u00e9`, "null",
}

func oddText(r *rand.Rand) string { return oddTexts[r.IntN(len(oddTexts))] }

func oddNumber(r *rand.Rand) int64 {
	return []int64{0, 1, 9, 10, 12345, 1 << 40, 999999999999999999, 1<<63 - 1}[r.IntN(8)]
}

// oddBatch returns a batch in which every field may be present and have a value that is hard to read.
func oddBatch(r *rand.Rand) batch {
	signed := func() int64 { return oddNumber(r) * int64(1-2*r.IntN(2)) }
	b := batch{
		V: r.IntN(3), Agent: oddText(r), Epoch: uint64(oddNumber(r)), Sequence: uint64(oddNumber(r)),
		Revision: oddText(r), Version: oddText(r), Wall: signed(), Lag: signed(), Queued: int(signed()),
		Dropped: r.Uint64(), SpoolOff: oddText(r), AnchorsFail: r.IntN(2) == 0,
	}
	if r.IntN(3) == 0 {
		b.Refusal = &refusal{oddText(r), oddText(r)}
	}
	if r.IntN(3) == 0 {
		b.Gossip = &gossip{Proofs: map[string]int64{oddText(r): signed(), oddText(r): 1}}
	}
	for range r.IntN(4) {
		o := observation{
			Host: oddText(r), Check: oddText(r), Family: uint8(r.IntN(256)), Began: signed(), Elapsed: signed(),
			RTT: signed(), Outcome: []string{"+", "~", "-", "?", "new"}[r.IntN(5)], Missed: r.IntN(2) == 0,
			Round: uint64(oddNumber(r)), Sent: r.IntN(5), Lost: -r.IntN(2), Reason: oddText(r), Address: oddText(r),
		}
		if r.IntN(3) == 0 {
			o.Expiry = &expiry{mesh.Certificate, signed(), oddText(r)}
			o.Phases = []int64{signed(), 0, 1, 2}[:r.IntN(5)]
		}
		b.Observations = append(b.Observations, o)
	}
	return b
}

// Batches, whole and damaged, are read as encoding/json reads them, to the last field.
func TestABatchIsReadAsJSONIs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		data, err := json.Marshal(oddBatch(r))
		if err != nil {
			t.Fatal(err)
		}
		wantReadAlike(t, data)
		for range 30 {
			damaged := bytes.Clone(data)
			switch i := r.IntN(len(damaged)); r.IntN(4) {
			case 0:
				damaged[i] = `{}[],:"\-0123456789. eEntu`[r.IntN(26)]
			case 1:
				damaged = damaged[:i]
			case 2: // a part twice, as a field that comes again
				damaged = append(damaged[:i:i], data[r.IntN(i+1):]...)
			case 3:
				damaged[i] = byte(r.IntN(256))
			}
			wantReadAlike(t, damaged)
		}
	}
}

// What agents send is read the fast way: failures, certificates and gossip included.
func TestWhatIsEncodedIsReadFast(t *testing.T) {
	at := time.Date(2026, 11, 24, 2, 31, 7, 0, time.UTC)
	b := &mesh.Batch{
		Agent: "nc033", Epoch: 1 << 59, Sequence: 7, Revision: "0123456789ab", Version: "v1.2.3-é", Began: at,
		Clock: -time.Second, Lag: time.Millisecond, Queued: 3, Dropped: 4, SpoolOff: `disk "full"`, AnchorsFail: true,
		Refusal: mesh.Refusal{Revision: "x", Reason: "y <z>"},
		Gossip:  mesh.Gossip{Proofs: []mesh.GossipEntry{{Host: "nc036", At: at}}},
		Observations: []mesh.Observation{
			{Host: "nc036", Check: "ping", Family: mesh.IPv6, Began: at.Add(-time.Second), Outcome: mesh.Reachable},
			{
				Host: "nc036", Check: "https", Began: at, Elapsed: time.Second, RTT: time.Second, Round: 9, Sent: 3, Lost: 1,
				Outcome: mesh.Unreachable, Stage: mesh.Missed, Reason: `got "503 <busy>" — é`, Address: "2001:db8::1",
				Expiry: &mesh.Expiry{What: mesh.Certificate, At: at, Issuer: "R3"}, Phases: mesh.Phases{TLS: time.Second},
			},
		},
	}
	data, err := EncodeBatch(b)
	if err != nil {
		t.Fatal(err)
	}
	if !wantReadAlike(t, data) {
		t.Errorf("%s is read by encoding/json", data)
	}
	for _, other := range []string{`{"v":1,"new":2}`, `{"o":[],"v":1}`, `{"v": 1}`, `{"v":1.0}`, `{"v":01}`, "", "null"} {
		if wantReadAlike(t, []byte(other)) {
			t.Errorf("%s is read the fast way", other)
		}
	}
}

func FuzzReadBatch(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		data, _ := json.Marshal(oddBatch(r))
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { wantReadAlike(t, data) })
}
