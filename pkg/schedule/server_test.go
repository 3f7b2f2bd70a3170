package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// mailCatalog draws a mesh whose first host is a mail server: with one or two checks of the port 25, one of 993, over
// one or both families, and a ping.
func mailCatalog(t *rapid.T) (c *catalog.Catalog, every time.Duration) {
	hosts := rapid.SampledFrom([]int{2, 3, 5, 10, 17, 18, 30, 110}).Draw(t, "hosts")
	c = newCatalog(hosts, rapid.IntRange(2, 10).Draw(t, "regions"))
	every = time.Duration(rapid.IntRange(5, 120).Draw(t, "every")) * time.Second
	for i := range c.Hosts[1:] {
		c.Hosts[i+1].Checks = nil
	}
	h := &c.Hosts[0]
	if rapid.Bool().Draw(t, "both families") {
		h.Addresses = []string{"192.0.2.1", "2001:db8::1"}
	}
	add := func(name string, options catalog.Options, interval time.Duration) {
		h.Checks = append(h.Checks, catalog.Check{Kind: catalog.KindSMTP, Name: name, Interval: interval,
			Timeout: 3 * time.Second, Options: options})
	}
	smtp := catalog.SMTP{MailSession: catalog.MailSession{Port: 25}}
	add("Sending mail", smtp, every)
	if rapid.Bool().Draw(t, "two checks of one server") {
		smtp.RcptTo = "postmaster@example.net"
		add("Receiving mail", smtp, 2*every)
	}
	add("Reading mail", catalog.IMAP{MailSession: catalog.MailSession{Port: 993, TLS: true}}, every)
	ShareServers(c, func(_ *catalog.Host, check *catalog.Check) { t.Fatalf("%s is too rare", check.Name) })
	return c, every
}

// sessionsOf returns when the vantages connect to a port of the first host in the time after a start, in order.
func sessionsOf(c *catalog.Catalog, port int, start time.Time, within time.Duration, vantages []string) []time.Time {
	var sessions []time.Time
	for _, vantage := range vantages {
		for _, d := range Plan(c, vantage) {
			if d.Check.Port() != port {
				continue
			}
			for at := d.Next(start); at.Before(start.Add(within)); at = d.Next(at) {
				sessions = append(sessions, at)
			}
		}
	}
	slices.SortFunc(sessions, time.Time.Compare)
	return sessions
}

func vantagesOf(c *catalog.Catalog) []string {
	var keys []string
	for i := range c.Hosts {
		keys = append(keys, c.Hosts[i].Key())
	}
	return keys
}

// However many vantages, families and checks there are, a mail server sees one session per interval; a vantage that
// is lost leaves its turns unused. No check is forgotten: the sessions of all come, and from every observer.
func TestAServerSeesOneSessionPerInterval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, every := mailCatalog(t)
		start := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "start"), 0)
		port := rapid.SampledFrom([]int{25, 993}).Draw(t, "port")
		vantages := vantagesOf(c)
		within := 40 * every
		sessions := sessionsOf(c, port, start, within, vantages)
		if n := len(sessions); n < 39 || n > 41 {
			t.Fatalf("%d sessions in %v, wanted one per %v", n, within, every)
		}
		for i := 1; i < len(sessions); i++ {
			if gap := sessions[i].Sub(sessions[i-1]); gap < every-time.Millisecond {
				t.Fatalf("two sessions within %v, wanted %v", gap, every)
			}
		}
		left := rapid.SliceOfDistinct(rapid.SampledFrom(vantages), rapid.ID).Draw(t, "vantages that work")
		if n := len(sessionsOf(c, port, start, within, left)); n > len(sessions) {
			t.Fatalf("%d sessions from fewer vantages, and %d from all", n, len(sessions))
		}
	})
}

// Every observer probes before its vote of the time before expires, and the sessions of each check are spread over
// the interval, so that a failure waits as little as the server's interval permits: no longer than as many intervals
// as the server has checks and families, and one more for each family of one vantage, which follow each other.
func TestVotesOutlastTheTurns(t *testing.T) {
	rule := catalog.DefaultRule()
	rapid.Check(t, func(t *rapid.T) {
		c, every := mailCatalog(t)
		h := &c.Hosts[0]
		for k := range h.Checks {
			check := &h.Checks[k]
			if !check.SharesServer() {
				continue
			}
			observers, families := NewChooser(c).Observers(h, check), len(h.FamiliesOf(check))
			sameServer := 0
			for _, other := range h.Checks {
				if other.SharesServer() && other.Port() == check.Port() {
					sameServer++
				}
			}
			if n := len(c.Hosts); n <= FullMesh && len(observers) != n-1 || n > FullMesh && len(observers) != ObserversMax {
				t.Fatalf("%d observers in a mesh of %d", len(observers), n)
			}
			if want := every * time.Duration(sameServer*families*len(observers)); check.Interval != want {
				t.Fatalf("%s: each vantage probes every %v, wanted %v", check.Name, check.Interval, want)
			}
			if fresh := rule.Freshness(*check); fresh < 2*check.Interval+check.Timeout {
				t.Fatalf("a vote expires after %v, and its vantage probes every %v", fresh, check.Interval)
			}
			for family, gap := range longestGaps(c, check, observers) {
				if most := every * time.Duration(sameServer*families); gap > most+time.Millisecond {
					t.Fatalf("%s over %v: nobody probes for %v, wanted %v", check.Name, family, gap, most)
				}
			}
		}
	})
}

// longestGaps returns how long nobody probes a check, by family.
func longestGaps(c *catalog.Catalog, check *catalog.Check, observers []string) map[mesh.Family]time.Duration {
	phases := map[mesh.Family][]time.Duration{}
	for _, vantage := range observers {
		for _, d := range Plan(c, vantage) {
			if d.Check == check {
				phases[d.Family] = append(phases[d.Family], d.Phase)
			}
		}
	}
	gaps := map[mesh.Family]time.Duration{}
	for family, list := range phases {
		slices.Sort(list)
		gaps[family] = list[0] + check.Interval - list[len(list)-1]
		for i := 1; i < len(list); i++ {
			gaps[family] = max(gaps[family], list[i]-list[i-1])
		}
	}
	return gaps
}

// A mesh of the size of ours keeps its regions: eight hosts of seven regions look at a mail server of an eighth.
func TestAMailServerIsProbedFromEveryRegion(t *testing.T) {
	for _, hosts := range []int{10, 60, 110} {
		t.Run(fmt.Sprint(hosts), func(t *testing.T) {
			c := newCatalog(hosts, 8)
			h := &c.Hosts[0]
			h.Checks = []catalog.Check{{Kind: catalog.KindPOP3, Name: "pop3", Interval: time.Minute,
				Options: catalog.POP3{MailSession: catalog.MailSession{Port: 110}}}}
			ShareServers(c, nil)
			regions := map[string]bool{}
			observers := NewChooser(c).Observers(h, &h.Checks[0])
			for _, key := range observers {
				regions[c.Host(key).Region] = true
			}
			delete(regions, h.Region)
			if len(regions) != 7 || DependsOnNames(c) != (hosts > FullMesh) {
				t.Errorf("probed from %d other regions by %v", len(regions), observers)
			}
		})
	}
}

// A catalog does not say which hosts have agents. Those that have one observe each mail server, however few they are.
func TestEveryAgentOfAMeshWithFewObservesAMailServer(t *testing.T) {
	for _, hosts := range []int{17, 18, 40, FullMesh} {
		c := newCatalog(hosts, 8)
		for i := range c.Hosts {
			c.Hosts[i].Checks = []catalog.Check{{Kind: catalog.KindSMTP, Name: "smtp", Interval: time.Minute,
				Options: catalog.SMTP{MailSession: catalog.MailSession{Port: 25}}}}
		}
		ShareServers(c, func(h *catalog.Host, _ *catalog.Check) { t.Errorf("%s is probed too rarely", h.Name) })
		agents := vantagesOf(c)[:8] // one in each region
		for i := range c.Hosts {
			h := &c.Hosts[i]
			observers := NewChooser(c).Observers(h, &h.Checks[0])
			for _, agent := range agents {
				if agent != h.Key() && !slices.Contains(observers, agent) {
					t.Fatalf("of %d hosts %s has an agent, and is not among the observers of %s", hosts, agent, h.Name)
				}
			}
		}
	}
}

// Where the turns of all hosts would take longer than a day, few hosts observe: so a catalog stays valid when hosts are
// added.
func TestFewObserveWhatAllWouldObserveTooRarely(t *testing.T) {
	c := newCatalog(60, 8)
	h := &c.Hosts[0]
	for _, port := range []int{110, 995} {
		h.Checks = append(h.Checks, catalog.Check{Kind: catalog.KindPOP3, Name: fmt.Sprint(port), Interval: time.Minute,
			Options: catalog.POP3{MailSession: catalog.MailSession{Port: port}}})
	}
	rare := &h.Checks[2]
	rare.Interval = time.Hour
	ShareServers(c, func(_ *catalog.Host, check *catalog.Check) { t.Errorf("%s is probed too rarely", check.Name) })
	if n := len(NewChooser(c).Observers(h, rare)); n != ObserversMax || rare.Interval != ObserversMax*time.Hour {
		t.Errorf("%d observers every %v", n, rare.Interval)
	}
	if n := len(NewChooser(c).Observers(h, &h.Checks[1])); n != 59 {
		t.Errorf("%d observers of another server of the host", n)
	}
}
