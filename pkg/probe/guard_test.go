package probe_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// open is a network in which every address answers. It records the probes by address.
type open struct {
	names map[string]string
	sent  []string
}

func (o *open) Dial(_ context.Context, _, address string) (net.Conn, error) {
	o.sent = append(o.sent, address)
	client, server := net.Pipe()
	server.Close()
	return client, nil
}

func (o *open) Ping(_ context.Context, to netip.Addr) (time.Duration, error) {
	o.sent = append(o.sent, to.String())
	return time.Millisecond, nil
}

func (o *open) Resolve(_ context.Context, _ mesh.Family, name string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr(o.names[strings.ToLower(strings.TrimSuffix(name, "."))])}, nil
}

func allow(t *testing.T, entries ...string) *probe.Allow {
	t.Helper()
	a, err := probe.ParseAllow(entries)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestOnlyWhatTheOwnerAllowsIsProbed(t *testing.T) {
	list := allow(t, "192.0.2.0/24", "198.51.100.7:25", "2001:db8::/32", "[2001:dead::7]:443",
		"Mail.Example.net.", "web.example.net:443", "web.example.net:80", "inside.example.net", "[203.0.113.0/28]:993")
	names := map[string]string{
		"mail.example.net": "203.0.113.200", "web.example.net": "203.0.113.201", "inside.example.net": "127.0.0.1",
		"elsewhere.example.net": "203.0.113.9", "theirs.example.net": "192.0.2.77",
	}
	for _, test := range []struct {
		address string
		port    int // 0: ping
		allowed bool
	}{
		{"192.0.2.36", 0, true}, {"192.0.2.36", 25, true}, {"192.0.3.36", 25, false}, {"192.0.3.36", 0, false},
		{"198.51.100.7", 25, true}, {"198.51.100.7", 26, false}, {"198.51.100.7", 0, false},
		{"2001:db8::1", 0, true}, {"2001:dead::7", 443, true}, {"2001:dead::7", 80, false},
		{"2001:dead::8", 443, false},
		{"203.0.113.15", 993, true}, {"203.0.113.16", 993, false},
		{"mail.example.net", 25, true}, {"MAIL.example.net.", 0, true},
		{"web.example.net", 443, true}, {"web.example.net", 80, true}, {"web.example.net", 22, false},
		{"web.example.net", 0, false},
		{"elsewhere.example.net", 25, false}, // a name that is not allowed leads to an address that is not
		{"theirs.example.net", 25, true},     // and one that leads to an allowed address
		{"inside.example.net", 25, false},    // an allowed name whose answer leads into this machine
	} {
		network := &open{names: names}
		check := catalog.Check{Kind: catalog.KindPing, Options: catalog.Ping{}}
		if test.port != 0 {
			check.Kind, check.Options = catalog.KindTCP, catalog.TCP{Port: test.port}
		}
		got := once(t, probe.NewGuard(network, list), check, test.address)
		switch {
		case test.allowed && (got.Outcome != mesh.Reachable || len(network.sent) != 1):
			t.Errorf("%s port %d: %v %q, sent %v", test.address, test.port, got.Outcome, got.Reason, network.sent)
		case !test.allowed && (got.Outcome != mesh.Inconclusive || len(network.sent) != 0):
			t.Errorf("%s port %d: %v %q, sent %v", test.address, test.port, got.Outcome, got.Reason, network.sent)
		case !test.allowed && !strings.HasPrefix(got.Reason, "not permitted: this agent's allow-list has no "):
			t.Errorf("%s port %d: %q", test.address, test.port, got.Reason)
		}
	}
}

// rotating is a network whose names resolve to the next of its answers each time.
type rotating struct {
	open
	answers [][]netip.Addr
}

func (r *rotating) Resolve(context.Context, mesh.Family, string) ([]netip.Addr, error) {
	next := r.answers[0]
	r.answers = r.answers[1:]
	return next, nil
}

// Probes of one name overlap: over both families, or because a check comes due during another one.
func TestAnAnswerStaysAllowedWhileOtherProbesResolveTheName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1")
		network := &rotating{answers: [][]netip.Addr{{first}, {second}, {second}}}
		guard := probe.NewGuard(network, allow(t, "mail.example.net"))
		resolve := func(f mesh.Family) {
			if _, err := guard.Resolve(t.Context(), f, "mail.example.net"); err != nil {
				t.Fatal(err)
			}
		}
		resolve(mesh.IPv4)
		resolve(mesh.IPv6)
		for _, ip := range []netip.Addr{first, second} {
			if _, err := guard.Ping(t.Context(), ip); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Hour)
		resolve(mesh.IPv6)
		var not *probe.NotPermittedError
		if _, err := guard.Ping(t.Context(), first); !errors.As(err, &not) {
			t.Errorf("the name no longer resolves to it: %v", err)
		}
		if _, err := guard.Ping(t.Context(), second); err != nil {
			t.Error(err)
		}
	})
}

func TestAnAllowListIsReadStrictly(t *testing.T) {
	for _, entry := range []string{
		"", "192.0.2.0/33", "192.0.2", "192.0.2.1:0", "192.0.2.1:70000", "192.0.2.1:smtp", "[2001:db8::1",
		"[2001:db8::1]x",
		"*.example.net", "mail example", "http://mail.example.net/", "25", "::1:99999",
	} {
		if _, err := probe.ParseAllow([]string{entry}); err == nil || !strings.Contains(err.Error(), "allow-list") {
			t.Errorf("%q: %v", entry, err)
		}
	}
	if a, err := probe.ParseAllow(nil); a != nil || err != nil {
		t.Error("without entries everything is allowed")
	}
}

// TestNetworksAllowWhatTheyContain compares the list with a second implementation of prefixes, by bits.
func TestNetworksAllowWhatTheyContain(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(rt, "network"))),
			rapid.IntRange(0, 32).Draw(rt, "bits"))
		to := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(rt, "address"))
		if rapid.Bool().Draw(rt, "near") {
			to = prefix.Addr().As4()
			to[3] ^= byte(1 << rapid.IntRange(0, 7).Draw(rt, "flip"))
		}
		word := func(b [4]byte) uint64 { return uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3]) }
		want := word(to)>>(32-prefix.Bits()) == word(prefix.Addr().As4())>>(32-prefix.Bits())
		list, err := probe.ParseAllow([]string{prefix.String()})
		if err != nil {
			rt.Fatal(err)
		}
		_, err = probe.NewGuard(&open{}, list).Ping(context.Background(), netip.AddrFrom4(to))
		var not *probe.NotPermittedError
		if want != (err == nil) || !want && !errors.As(err, &not) {
			rt.Fatalf("%s to %v: %v", prefix, to, err)
		}
	})
}

func FuzzParseAllow(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24", "[2001:db8::1]:25", "mail.example.net:25", "::", ":", "[]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := probe.ParseAllow([]string{s}); (a == nil) == (err == nil) {
			t.Errorf("%q: %v, %v", s, a, err)
		}
	})
}

func TestARedirectLeadsNowhere(t *testing.T) {
	var hits atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer elsewhere.Close()
	site := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer site.Close()
	got := once(t, probe.NewGuard(probe.Kernel{}, allow(t, site.Listener.Addr().String())),
		catalog.Check{Kind: catalog.KindHTTP, Timeout: patience, Options: catalog.HTTP{URL: site.URL}}, "127.0.0.1")
	want(t, got, mesh.Unreachable, "redirects to "+elsewhere.URL)
	if hits.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// TestAStormYieldsTheCap probes one victim under many names, and then many victims at once.
func TestAStormYieldsTheCap(t *testing.T) {
	for _, test := range []struct {
		name        string
		targets     int
		burst, rate int
	}{{"one victim", 1, probe.TargetBurst, probe.TargetRate}, {"many", 200, probe.TotalBurst, probe.TotalRate}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := &open{}
				guard := probe.NewGuard(network, nil)
				const seconds, storm = 10, 5000
				for range seconds {
					for i := range storm {
						_, err := guard.Ping(t.Context(), netip.AddrFrom4([4]byte{192, 0, 2, byte(i % test.targets)}))
						if err != nil && !errors.Is(err, probe.ErrTooMany) {
							t.Fatal(err)
						}
					}
					time.Sleep(time.Second)
				}
				most := test.burst + test.rate*seconds
				if got := len(network.sent); got > most || got < most-test.rate-1 {
					t.Errorf("%d probes left, and the cap is %d", got, most)
				}
			})
		})
	}
}

func TestOverTheCapIsInconclusive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := probe.NewGuard(&open{}, nil)
		check := catalog.Check{Kind: catalog.KindPing, Options: catalog.Ping{}}
		for range probe.TargetBurst {
			want(t, once(t, guard, check, "192.0.2.1"), mesh.Reachable, "")
		}
		want(t, once(t, guard, check, "192.0.2.1"), mesh.Inconclusive, "not sent: over this agent's cap")
		want(t, once(t, guard, check, "192.0.2.2"), mesh.Reachable, "")
	})
}
