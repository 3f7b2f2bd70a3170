package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// line is one line of a story: something done at a time, something wanted soon after, or something that never is.
type line struct {
	at     time.Duration
	what   string
	do     func(*mesh)
	within time.Duration
	never  bool
	word   string
	names  []string
}

type action struct {
	what string
	do   func(*mesh)
}

// At does something so long after the story began.
func At(at time.Duration, a action) line { return line{at: at, what: a.what, do: a.do} }

// Until lets the story go on to this time.
func Until(at time.Duration) line { return At(at, action{"time goes by", func(*mesh) {}}) }

// Want waits for a status or verdict, so long after the last thing that was done at most.
func Want(within time.Duration, word string, names ...string) line {
	return line{within: within, word: word, names: names}
}

// Never fails the story when one of the names has one of the words (separated by spaces) at any moment of it, also for so
// short a time that only the history tells.
func Never(words string, names ...string) line { return line{never: true, word: words, names: names} }

// bad are the words that are false where nothing is broken.
const bad = "down partial major_outage partial_outage"

// tell plays the lines and then repairs everything.
func (m *mesh) tell(t *testing.T, lines ...line) {
	t.Helper()
	m.t = t
	began := time.Now()
	watched := m.watch(lines)
	last := began
	for _, l := range lines {
		switch {
		case l.never:
		case l.do != nil:
			time.Sleep(time.Until(began.Add(l.at)))
			t.Logf("%6.1fs %s", time.Since(began).Seconds(), l.what)
			l.do(m)
			last = time.Now()
		default:
			m.want(l, last, began)
		}
	}
	for _, trouble := range watched() {
		t.Error(trouble)
	}
	m.checkHistory(lines, began)
	m.repair()
}

func (m *mesh) want(l line, since, began time.Time) {
	m.t.Helper()
	what := strings.Join(l.names, ", ") + " " + l.word
	eventually(m.t, l.within-time.Since(since), what, func() error {
		words, err := m.words()
		for _, name := range l.names {
			if err == nil && words[name] != l.word {
				host, _, _ := strings.Cut(name, " ")
				return fmt.Errorf("%s is %s\n%s", name, words[name], m.explain(host))
			}
		}
		return err
	})
	m.t.Logf("%6.1fs %s, %.2f s after that%s", time.Since(began).Seconds(), what, time.Since(since).Seconds(), m.steps(l.names, since))
}

// steps tells where the time went: when the first look that saw it began, and when each region had answered.
func (m *mesh) steps(names []string, since time.Time) string {
	var out strings.Builder
	for _, tr := range m.transitions(since) {
		if !slices.Contains(names, tr.Host) && !slices.Contains(names, tr.Host+" "+tr.Check) {
			continue
		}
		fmt.Fprintf(&out, "\n    %s %s: seen from %.2f s, decided at %.2f s;", tr.Host, tr.Verdict, tr.Began.Sub(since).Seconds(), tr.Published.Sub(since).Seconds())
		for _, v := range tr.Votes {
			for _, e := range v.Edges {
				fmt.Fprintf(&out, " %s %v %.2f", e.Vantage, e.Vote, e.At.Sub(since).Seconds())
			}
		}
	}
	return out.String()
}

// explain is what the judge holds of a host, in a few lines.
func (m *mesh) explain(host string) string {
	state, err := m.control.State(context.Background(), time.Time{})
	if err != nil {
		return err.Error()
	}
	var out strings.Builder
	for _, h := range state.Snapshot.Hosts {
		for _, c := range h.Checks {
			if h.Name != host {
				continue
			}
			fmt.Fprintf(&out, "%s: %s (%s; looking: %v)\n", c.Name, c.Sentence, c.Rule, c.Looking)
			for _, v := range c.Votes {
				fmt.Fprintf(&out, "  %s: %s %s, %v ago\n", v.Region, v.Vote, v.Why, time.Since(v.Edges[0].At).Round(10*time.Millisecond))
			}
		}
	}
	return out.String()
}

// watch looks for what must never be, until the function it returns is called: that tells what was found.
func (m *mesh) watch(lines []line) func() []string {
	var found []string
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			words, err := m.words()
			if err != nil {
				continue // the coordinator is away in some stories
			}
			for _, l := range lines {
				for _, name := range l.names {
					if l.never && slices.Contains(strings.Fields(l.word), words[name]) {
						found = append(found, fmt.Sprintf("%s is %s", name, words[name]))
					}
				}
			}
		}
	})
	return func() []string {
		close(stop)
		watching.Wait()
		slices.Sort(found)
		return slices.Compact(found)
	}
}

// checkHistory looks for what must never be in what was published.
func (m *mesh) checkHistory(lines []line, began time.Time) {
	m.t.Helper()
	for _, tr := range m.transitions(began) {
		for _, l := range lines {
			words := strings.Fields(l.word)
			host := slices.Contains(l.names, tr.Host) && slices.Contains(words, string(tr.To))
			check := slices.Contains(l.names, tr.Host+" "+tr.Check) && slices.Contains(words, string(tr.Verdict))
			if l.never && (host || check) {
				m.t.Errorf("%s at %v: %s", tr.Host, tr.Published.Sub(began), tr.Sentence)
			}
		}
	}
}

func Cut(from, to string) action {
	return action{"cut from " + from + " to " + to, func(m *mesh) { m.wan.change(in(from), in(to), cut) }}
}

// Isolate cuts the regions from all others, in both directions.
func Isolate(names ...string) action {
	return action{"isolate " + strings.Join(names, ", "), func(m *mesh) {
		m.wan.change(in(names...), not(in(names...)), cut)
		m.wan.change(not(in(names...)), in(names...), cut)
	}}
}

// Impair has every path lose, double and delay packets.
func Impair(loss, duplicate float64, jitter time.Duration) action {
	return action{fmt.Sprintf("lose %.0f %%, double %.0f %%, up to %v of jitter", 100*loss, 100*duplicate, jitter), func(m *mesh) {
		m.wan.change(anywhere, anywhere, func(p *path) { p.Loss, p.Duplicate, p.Jitter = loss, duplicate, jitter })
	}}
}

func Mend() action { return action{"mend the WAN", func(m *mesh) { m.wan.mend() }} }

// KillHost ends everything on a host at once, its network included.
func KillHost(name string) action {
	return action{"kill the host " + name, func(m *mesh) {
		m.wan.change(isNamed(name), anywhere, cut)
		m.wan.change(anywhere, isNamed(name), cut)
		m.agents[name].kill()
		for key, p := range m.services {
			if strings.HasPrefix(key, name+" ") {
				p.kill()
			}
		}
	}}
}

func KillService(host, name string) action {
	return action{"kill " + name + " on " + host, func(m *mesh) { m.services[host+" "+name].kill() }}
}

func StartService(host, name string) action {
	return action{"start " + name + " on " + host, func(m *mesh) { m.startService(host, name) }}
}

// Hang stops a service as SIGSTOP does: the kernel still accepts connections, and nobody says anything.
func Hang(host, name string) action {
	return action{"hang " + name + " on " + host, func(m *mesh) { m.services[host+" "+name].signal(syscall.SIGSTOP) }}
}

func Freeze(name string) action {
	return action{"freeze the agent of " + name, func(m *mesh) { m.agents[name].signal(syscall.SIGSTOP) }}
}

func Thaw(name string) action {
	return action{"thaw the agent of " + name, func(m *mesh) { m.agents[name].signal(syscall.SIGCONT) }}
}

// Restart ends an agent and starts it again: as a power cut would, or as an operator does.
func Restart(name string, asPowerCut bool) action {
	return action{"restart the agent of " + name, func(m *mesh) {
		if asPowerCut {
			m.agents[name].kill()
		} else {
			m.agents[name].stop()
		}
		m.startAgent(name)
	}}
}

func KillCoordinator() action {
	return action{"kill the coordinator", func(m *mesh) { m.process.kill() }}
}

func StartCoordinator() action {
	return action{"start the coordinator", func(m *mesh) { m.startCoordinator() }}
}

func StopCoordinator() action {
	return action{"stop the coordinator", func(m *mesh) { m.process.stop() }}
}

// Blind breaks a vantage: whatever it sends to look at others is lost, though it still reaches the coordinator, and answers.
func Blind(name string) action {
	return action{name + " can look at nobody", func(m *mesh) {
		m.firewall(name, "output", "ip daddr "+m.coordinator.address+" accept", "icmp type echo-request drop", "tcp flags & (syn | ack) == syn drop")
	}}
}

// CutFromNATS has all that an agent says to the coordinator and hears of it lost. It still looks at others, and gossips.
func CutFromNATS(name string) action {
	return action{"cut the agent of " + name + " from NATS", func(m *mesh) {
		m.firewall(name, "output", "ip daddr "+m.coordinator.address+" tcp dport 4222 drop")
	}}
}

// DropPings sets up a firewall that drops every ping to a server.
func DropPings(name string) action {
	return action{"drop pings to " + name, func(m *mesh) { m.firewall(name, "input", "icmp type echo-request drop") }}
}

// firewall has packets on their way through the hook ("input" or "output") of a server met by rules, until repair.
func (m *mesh) firewall(name, hook string, rules ...string) {
	chain := fmt.Sprintf("add chain inet broken %s { type filter hook %s priority 0; }", hook, hook)
	said := []string{"add table inet broken", chain}
	for _, r := range rules {
		said = append(said, fmt.Sprintf("add rule inet broken %s %s", hook, r))
	}
	m.hosts[name].run("nft", strings.Join(said, "; "))
	m.walled[name] = true
}

// RestartEverything ends the coordinator and all agents, and starts them again, in an order drawn by the seed.
func RestartEverything(seed uint64) action {
	return action{fmt.Sprintf("restart everything, in the order drawn by %d", seed), func(m *mesh) {
		random := rand.New(rand.NewPCG(seed, 0))
		stop, start := []func(){m.process.kill}, []func(){m.startCoordinator}
		for _, h := range hosts {
			stop = append(stop, m.agents[h.name].stop)
			start = append(start, func() { m.startAgent(h.name) })
		}
		for _, todo := range [][]func(){stop, start} {
			random.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
			for _, do := range todo {
				do()
			}
		}
	}}
}

// SetClock restarts an agent with a clock that is off by so much.
func SetClock(name, offset string) action {
	return action{"the clock of " + name + " is off by " + offset, func(m *mesh) {
		m.agents[name].stop()
		m.clocks[name] = offset
		m.startAgent(name)
	}}
}

// Do is anything else.
func Do(what string, do func(*mesh)) action { return action{what, do} }
