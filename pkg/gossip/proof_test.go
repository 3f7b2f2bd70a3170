package gossip

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

var (
	start = time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)
	lon   = netip.MustParseAddr("192.0.2.2")
)

func testKey(host string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append([]byte(host), make([]byte, ed25519.SeedSize-len(host))...))
}

func testPeer(host string, address netip.Addr) peer {
	return peer{addresses: []netip.Addr{address}, key: testKey(host).Public().(ed25519.PublicKey), admitted: true}
}

// sign returns the answer of a host's agent to a nonce.
func sign(key ed25519.PrivateKey, asker, target string, n Nonce) answer {
	return answer{n, ed25519.Sign(key, ProofMessage(asker, target, n))}
}

// ams1 sent lon1 a nonce. Each answer but the first is wrong in one way.
func TestAnswersAreVerified(t *testing.T) {
	n, other := Nonce{1}, Nonce{2}
	raw := answer{n, ed25519.Sign(testKey("lon1"), n[:])}
	right, replayed := sign(testKey("lon1"), "ams1", "lon1", n), sign(testKey("lon1"), "ams1", "lon1", other)
	for what, x := range map[string]struct {
		a     answer
		from  string
		after time.Duration
		want  error
	}{
		"right":                       {right, "192.0.2.2", 999 * time.Millisecond, nil},
		"late":                        {right, "192.0.2.2", 1001 * time.Millisecond, errNonceExpired},
		"from elsewhere":              {right, "192.0.2.9", 0, errWrongSource},
		"a nonce that was not sent":   {replayed, "192.0.2.2", 0, errNonceUnknown},
		"the signature of another":    {sign(testKey("nyc1"), "ams1", "lon1", n), "192.0.2.2", 0, errBadSignature},
		"for another asker":           {sign(testKey("lon1"), "nyc1", "lon1", n), "192.0.2.2", 0, errBadSignature},
		"of another target":           {sign(testKey("lon1"), "ams1", "nyc1", n), "192.0.2.2", 0, errBadSignature},
		"of another nonce":            {answer{n, replayed.signature}, "192.0.2.2", 0, errBadSignature},
		"the nonce alone, as of NATS": {raw, "192.0.2.2", 0, errBadSignature},
		"forged":                      {answer{n, make([]byte, 64)}, "192.0.2.2", 0, errBadSignature},
		"without a signature":         {answer{n, nil}, "192.0.2.2", 0, errBadSignature},
	} {
		c := challenges{"ams1", map[Nonce]challenge{}}
		if err := c.add(start, "lon1", n); err != nil {
			t.Fatal(err)
		}
		peers := map[string]peer{
			"lon1": testPeer("lon1", lon),
			"nyc1": testPeer("nyc1", netip.MustParseAddr("192.0.2.3")),
		}
		if _, err := c.verify(start.Add(x.after), x.a, netip.MustParseAddr(x.from), peers); !errors.Is(err, x.want) {
			t.Errorf("%s: %v", what, err)
		}
		if x.want != nil {
			continue
		}
		if _, err := c.verify(start, x.a, lon, peers); !errors.Is(err, errNonceUnknown) {
			t.Errorf("%s, once more: %v", what, err)
		}
	}
}

func TestRevokedAgentProvesNothing(t *testing.T) {
	c := challenges{"ams1", map[Nonce]challenge{}}
	if err := c.add(start, "lon1", Nonce{1}); err != nil {
		t.Fatal(err)
	}
	for what, peers := range map[string]map[string]peer{
		"revoked": {"lon1": {addresses: []netip.Addr{lon}}}, "out of the catalog": {},
	} {
		if _, err := c.verify(start, sign(testKey("lon1"), "ams1", "lon1", Nonce{1}), lon, peers); !errors.Is(
			err,
			errNotAdmitted,
		) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestUnansweredChallengesAreBounded(t *testing.T) {
	c := challenges{"ams1", map[Nonce]challenge{}}
	for i := range challengesMax {
		if err := c.add(start, "lon1", Nonce{byte(i), byte(i >> 8)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.add(start, "lon1", Nonce{31: 1}); !errors.Is(err, errTooMany) {
		t.Error(err)
	}
	if err := c.add(start.Add(2*nonceLife), "lon1", Nonce{31: 1}); err != nil || len(c.sent) != 1 {
		t.Errorf("%d: %v", len(c.sent), err)
	}
}

// No two triples share a message, and no message can be a challenge of NATS, which is base64 (see bus.signChallenge).
func TestMessagesAreUnambiguous(t *testing.T) {
	seen := map[string]string{}
	challenge := regexp.MustCompile(`^[A-Za-z0-9_-]*$`)
	for _, asker := range []string{"a", "ab", "abc", "bc", "c", strings.Repeat("a", hostNameMax)} {
		for _, target := range []string{"a", "b", "bc", "c", "cd", strings.Repeat("a", hostNameMax)} {
			m := string(ProofMessage(asker, target, Nonce{'d'}))
			if was, ok := seen[m]; ok {
				t.Errorf("%s and %s %s share a message", was, asker, target)
			}
			seen[m] = asker + " " + target
			if challenge.MatchString(m) || challenge.MatchString(m[:1]) || !strings.Contains(m, "probemesh-gossip-v1") {
				t.Errorf("%q", m)
			}
		}
	}
}

func TestPacketsRoundTrip(t *testing.T) {
	long := strings.Repeat("x", hostNameMax)
	for _, want := range []request{{"a", "b", Nonce{1}}, {long, long, Nonce{31: 255}}} {
		packet := want.encode()
		if got, ok := decodeRequest(packet); !ok || got != want || len(packet) < answerSize {
			t.Errorf("%+v %v, %d bytes", got, ok, len(packet))
		}
		longer := append(packet[:len(packet):len(packet)], 0)
		for _, wrong := range [][]byte{packet[:len(packet)-1], longer, packet[1:], nil} {
			if _, ok := decodeRequest(wrong); ok {
				t.Errorf("%d bytes are a request", len(wrong))
			}
		}
	}
	want := sign(testKey("lon1"), "ams1", "lon1", Nonce{7})
	if got, ok := decodeAnswer(want.encode()); !ok || got.nonce != want.nonce ||
		string(got.signature) != string(want.signature) {
		t.Errorf("%+v %v", got, ok)
	}
}

func FuzzProofPackets(f *testing.F) {
	f.Add(request{"ams1", "lon1", Nonce{1}}.encode())
	f.Add(sign(testKey("lon1"), "ams1", "lon1", Nonce{7}).encode())
	f.Fuzz(func(t *testing.T, packet []byte) {
		if r, ok := decodeRequest(packet); ok && (len(r.asker) > hostNameMax || r.target == "") {
			t.Errorf("%+v", r)
		}
		_, _ = decodeAnswer(packet)
	})
}

// newPair returns ams1's prover, with lon1 in its catalog.
func newPair(keys map[string]ed25519.PublicKey) *prover {
	c := &catalog.Catalog{
		Hosts: []catalog.Host{
			{Name: "AMS1", Addresses: []string{"192.0.2.1"}},
			{Name: "LON1", Addresses: []string{"192.0.2.2"}},
		},
	}
	b := newRegistry("ams1", time.Second)
	b.setCatalog(c, keys)
	return newProver("ams1", testKey("ams1"), b)
}

func TestRequestsThatAreAnswered(t *testing.T) {
	admitted := map[string]ed25519.PublicKey{"lon1": testKey("lon1").Public().(ed25519.PublicKey)}
	ask := func(asker, target string) []byte { return request{asker, target, Nonce{1}}.encode() }
	for what, x := range map[string]struct {
		keys   map[string]ed25519.PublicKey
		packet []byte
		from   string
		times  int
		want   int
	}{
		"an admitted agent":            {admitted, ask("lon1", "ams1"), "192.0.2.2:7946", 1, 1},
		"from another port":            {admitted, ask("lon1", "ams1"), "192.0.2.2:9", 1, 1},
		"too often":                    {admitted, ask("lon1", "ams1"), "192.0.2.2:7946", 100, sourceBurst},
		"from elsewhere":               {admitted, ask("lon1", "ams1"), "192.0.2.9:7946", 1, 0},
		"a request to another":         {admitted, ask("lon1", "nyc1"), "192.0.2.2:7946", 1, 0},
		"in this agent's name":         {admitted, ask("ams1", "ams1"), "192.0.2.1:7946", 1, 0},
		"a revoked agent":              {map[string]ed25519.PublicKey{}, ask("lon1", "ams1"), "192.0.2.2:7946", 1, 0},
		"an unknown host":              {admitted, ask("nyc1", "ams1"), "192.0.2.2:7946", 1, 0},
		"what is shorter than allowed": {admitted, ask("lon1", "ams1")[:answerSize-1], "192.0.2.2:7946", 1, 0},
	} {
		p, answers := newPair(x.keys), 0
		for range x.times {
			_ = p.receive(
				start,
				x.packet,
				netip.MustParseAddrPort(x.from),
				func(packet []byte, to netip.AddrPort) error {
					answers++
					if len(packet) > len(x.packet) || to.String() != x.from {
						t.Errorf("%s: %d bytes to %s", what, len(packet), to)
					}
					return nil
				},
			)
		}
		if answers != x.want {
			t.Errorf("%s: %d answers, wanted %d", what, answers, x.want)
		}
	}
}

// However many hosts are lost, the requests are bounded.
func TestRequestsAreBounded(t *testing.T) {
	p := newPair(map[string]ed25519.PublicKey{"lon1": testKey("lon1").Public().(ed25519.PublicKey)})
	sent, began := 0, time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * askBurst {
		_ = p.prove(ctx, "lon1", 7946, func([]byte, netip.AddrPort) error { sent++; return nil })
	}
	// The limit permits more with time, and a busy machine may pause for seconds.
	if most := askBurst + askRate*(1+time.Since(began).Seconds()); float64(sent) > most || sent < askBurst/2 {
		t.Errorf("%d requests sent, and %v are permitted", sent, most)
	}
}

// Any member may have advertised a port, so a request always goes to the catalog's address and the usual port too.
func TestRequestGoesToTheCatalogsAddress(t *testing.T) {
	p := newPair(map[string]ed25519.PublicKey{"lon1": testKey("lon1").Public().(ed25519.PublicKey)})
	p.registry.joined("lon1", lon, 53, Meta{})
	if got := fmt.Sprint(p.registry.proofAddresses("lon1", 7946)); got != "[192.0.2.2:7946 192.0.2.2:53]" {
		t.Error(got)
	}
}

// A proof is about the first family, IPv4 before IPv6, whatever the order of the catalog's addresses.
func TestRequestGoesToTheFirstFamily(t *testing.T) {
	c := &catalog.Catalog{Hosts: []catalog.Host{{Name: "LON1", Addresses: []string{"2001:db8::2", "192.0.2.2"}}}}
	b := newRegistry("ams1", time.Second)
	b.setCatalog(c, map[string]ed25519.PublicKey{"lon1": testKey("lon1").Public().(ed25519.PublicKey)})
	if got := fmt.Sprint(b.proofAddresses("lon1", 7946)); got != "[192.0.2.2:7946]" {
		t.Error(got)
	}
}

// Hosts are asked in turn; one that has not answered for long is asked less often.
func TestHostsAreAskedInTurn(t *testing.T) {
	c, keys := &catalog.Catalog{}, map[string]ed25519.PublicKey{}
	for i, host := range []string{"ams1", "lon1", "nyc1", "sin1"} {
		c.Hosts = append(c.Hosts, catalog.Host{Name: host, Addresses: []string{fmt.Sprintf("192.0.2.%d", i+1)}})
		keys[host] = testKey(host).Public().(ed25519.PublicKey)
	}
	b := newRegistry("ams1", time.Second)
	b.setCatalog(c, keys)
	p := newProver("ams1", testKey("ams1"), b)
	round := func(now time.Time) string {
		var out []string
		last := ""
		for range 4 {
			last, _ = p.next(now, last)
			out = append(out, last)
		}
		return strings.Join(out, " ")
	}
	for _, x := range []struct {
		proof Proof // of nyc1
		want  string
	}{
		{Proof{}, "lon1 nyc1 sin1 lon1"},
		{Proof{Proved: start}, "lon1 nyc1 sin1 lon1"},
		{Proof{Proved: start, Unanswered: start.Add(10 * time.Second)}, "lon1 nyc1 sin1 lon1"},
		{Proof{Proved: start.Add(-time.Hour), Unanswered: start.Add(50 * time.Second)}, "lon1 sin1 lon1 sin1"},
		{Proof{Unanswered: start.Add(50 * time.Second)}, "lon1 sin1 lon1 sin1"},
		{Proof{Unanswered: start}, "lon1 nyc1 sin1 lon1"},
	} {
		p.proofs["nyc1"] = &x.proof
		if got := round(start.Add(unansweredRetry)); got != x.want {
			t.Errorf("%+v: %s, wanted %s", x.proof, got, x.want)
		}
	}
}
