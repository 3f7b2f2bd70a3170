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

// line is one line of a story: an action (At), a state that must follow (Want), or states that must never occur
// (Never).
type line struct {
	at     time.Duration // of the action, after the story's beginning
	what   string
	do     func(*mesh)   // nil for Want and Never
	within time.Duration // of Want
	never  bool
	state  string   // a status or verdict; of Never one or more, separated by spaces
	names  []string // hosts and checks: "NC036", "NC036 Sending mail"
}

// action is something that a story does to the mesh, and its description for the log.
type action struct {
	what string
	do   func(*mesh)
}

// At performs an action at a time after the story's beginning.
func At(at time.Duration, a action) line { return line{at: at, what: a.what, do: a.do} }

// Until waits until a time after the story's beginning.
func Until(at time.Duration) line { return At(at, action{"time goes by", func(*mesh) {}}) }

// Want waits until all named hosts and checks have the status or verdict, and fails the story unless they do within the
// time after the last action.
func Want(within time.Duration, state string, names ...string) line {
	return line{within: within, state: state, names: names}
}

// Never fails the story if a named host or check ever has one of the states, which are separated by spaces. It sees
// states that were too short to be polled too, since it also reads the published transitions.
func Never(states string, names ...string) line {
	return line{never: true, state: states, names: names}
}

// bad are the statuses and verdicts that are false while nothing is broken.
const bad = "down partial major_outage partial_outage"

// play runs the lines of a story and then repairs the mesh.
func (m *mesh) play(t *testing.T, lines ...line) {
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
	for _, violation := range watched() {
		t.Error(violation)
	}
	m.checkHistory(lines, began)
	m.repair()
}

// want waits for the states of a line of Want. The last action was at since.
func (m *mesh) want(l line, since, began time.Time) {
	m.t.Helper()
	what := strings.Join(l.names, ", ") + " " + l.state
	eventually(m.t, l.within-time.Since(since), what, func() error {
		states, err := m.current()
		for _, name := range l.names {
			if err == nil && states[name] != l.state {
				host, _, _ := strings.Cut(name, " ")
				return fmt.Errorf("%s is %s\n%s", name, states[name], m.explain(host))
			}
		}
		return err
	})
	took := time.Since(since).Seconds()
	m.t.Logf("%6.1fs %s, %.2f s after that%s", time.Since(began).Seconds(), what, took, m.timing(l.names, since))
}

// timing lists, for each transition of the named hosts and checks, when the first probe that saw it began, when it was
// published, and when each vantage had answered, in seconds.
func (m *mesh) timing(names []string, since time.Time) string {
	var out strings.Builder
	for _, tr := range m.transitions(since) {
		if !slices.Contains(names, tr.Host) && !slices.Contains(names, tr.Host+" "+tr.Check) {
			continue
		}
		fmt.Fprintf(&out, "\n    %s %s: seen from %.2f s, decided at %.2f s;",
			tr.Host, tr.Verdict, tr.Began.Sub(since).Seconds(), tr.Published.Sub(since).Seconds())
		for _, v := range tr.Votes {
			for _, e := range v.Edges {
				fmt.Fprintf(&out, " %s %v %.2f", e.Vantage, e.Vote, e.At.Sub(since).Seconds())
			}
		}
	}
	return out.String()
}

// explain describes the checks of a host and the votes on them.
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
			fmt.Fprintf(&out, "%s: %s (%s; looking: %v)\n", c.Name, c.Sentence, c.Rule, c.RoundOpen)
			for _, v := range c.Votes {
				ago := time.Since(v.Edges[0].At).Round(10 * time.Millisecond)
				fmt.Fprintf(&out, "  %s: %s %s, %v ago\n", v.Region, v.Vote, v.Why, ago)
			}
		}
	}
	return out.String()
}

// watch polls for states that a line of Never forbids, until the function that it returns is called. That function
// returns the violations.
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
			states, err := m.current()
			if err != nil {
				continue // some stories stop the coordinator
			}
			for _, l := range lines {
				for _, name := range l.names {
					if l.never && slices.Contains(strings.Fields(l.state), states[name]) {
						found = append(found, fmt.Sprintf("%s is %s", name, states[name]))
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

// checkHistory reports published transitions to states that a line of Never forbids.
func (m *mesh) checkHistory(lines []line, began time.Time) {
	m.t.Helper()
	for _, tr := range m.transitions(began) {
		for _, l := range lines {
			states := strings.Fields(l.state)
			host := slices.Contains(l.names, tr.Host) && slices.Contains(states, string(tr.To))
			check := slices.Contains(l.names, tr.Host+" "+tr.Check) && slices.Contains(states, string(tr.Verdict))
			if l.never && (host || check) {
				m.t.Errorf("%s at %v: %s", tr.Host, tr.Published.Sub(began), tr.Sentence)
			}
		}
	}
}

// Cut drops all packets from one region to another, in this direction only.
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

// Impair has every path lose, duplicate and delay packets.
func Impair(loss, duplicate float64, jitter time.Duration) action {
	what := fmt.Sprintf("lose %.0f %%, duplicate %.0f %%, up to %v of jitter", 100*loss, 100*duplicate, jitter)
	return action{what, func(m *mesh) {
		m.wan.change(anywhere, anywhere, func(p *path) { p.Loss, p.Duplicate, p.Jitter = loss, duplicate, jitter })
	}}
}

// Mend ends all faults of the WAN.
func Mend() action { return action{"mend the WAN", func(m *mesh) { m.wan.mend() }} }

// KillHost kills everything on a host at once, and cuts off its network.
func KillHost(name string) action {
	return action{"kill the host " + name, func(m *mesh) {
		m.wan.change(isNamed(name), anywhere, cut)
		m.wan.change(anywhere, isNamed(name), cut)
		m.mu.Lock()
		killed := []*process{m.agents[name]}
		for key, p := range m.services {
			if strings.HasPrefix(key, name+" ") {
				killed = append(killed, p)
			}
		}
		m.mu.Unlock()
		for _, p := range killed {
			p.kill()
		}
	}}
}

// KillService kills a service: its port refuses connections.
func KillService(host, name string) action {
	return action{"kill " + name + " on " + host, func(m *mesh) { m.killService(host, name) }}
}

// StartService starts a service again.
func StartService(host, name string) action {
	return action{"start " + name + " on " + host, func(m *mesh) { m.startService(host, name) }}
}

// Hang freezes a service with SIGSTOP: the kernel still accepts connections, but nothing is answered.
func Hang(host, name string) action {
	return action{"hang " + name + " on " + host, func(m *mesh) { m.services[host+" "+name].signal(syscall.SIGSTOP) }}
}

// Freeze stops an agent with SIGSTOP.
func Freeze(name string) action {
	return action{"freeze the agent of " + name, func(m *mesh) { m.agents[name].signal(syscall.SIGSTOP) }}
}

// Thaw continues a frozen agent.
func Thaw(name string) action {
	return action{"thaw the agent of " + name, func(m *mesh) { m.agents[name].signal(syscall.SIGCONT) }}
}

// Restart stops an agent, as an operator or a power cut would, and starts it again.
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

// KillCoordinator kills the coordinator, as a power cut would.
func KillCoordinator() action {
	return action{"kill the coordinator", func(m *mesh) { m.process.kill() }}
}

// StartCoordinator starts the coordinator and waits until it is ready.
func StartCoordinator() action {
	return action{"start the coordinator", func(m *mesh) { m.startCoordinator() }}
}

// StopCoordinator stops the coordinator, as an operator would.
func StopCoordinator() action {
	return action{"stop the coordinator", func(m *mesh) { m.process.stop() }}
}

// Blind drops all probes that an agent sends. It still reaches the coordinator and answers others' probes.
func Blind(name string) action {
	return action{"drop the probes of " + name, func(m *mesh) {
		m.firewall(name, "output", "ip daddr "+m.coordinator.address+" accept",
			"icmp type echo-request drop", "tcp flags & (syn | ack) == syn drop")
	}}
}

// CutFromNATS cuts an agent's connection to NATS. It still probes others, and gossips.
func CutFromNATS(name string) action {
	return action{"cut the agent of " + name + " from NATS", func(m *mesh) {
		m.firewall(name, "output", "ip daddr "+m.coordinator.address+" tcp dport 4222 drop")
	}}
}

// DropPings drops every ping to a server.
func DropPings(name string) action {
	return action{"drop pings to " + name, func(m *mesh) { m.firewall(name, "input", "icmp type echo-request drop") }}
}

// firewall adds rules of nftables to a server's hook ("input" or "output"), until repair.
func (m *mesh) firewall(name, hook string, rules ...string) {
	chain := fmt.Sprintf("add chain inet broken %s { type filter hook %s priority 0; }", hook, hook)
	commands := []string{"add table inet broken", chain}
	for _, r := range rules {
		commands = append(commands, fmt.Sprintf("add rule inet broken %s %s", hook, r))
	}
	m.hosts[name].run("nft", strings.Join(commands, "; "))
	m.firewalled[name] = true
}

// RestartEverything stops the coordinator and all agents in a random order, and starts them in another.
func RestartEverything(seed uint64) action {
	return action{fmt.Sprintf("restart everything in the order of seed %d", seed), func(m *mesh) {
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

// SetClock restarts an agent with a wall clock that is off by the offset.
func SetClock(name, offset string) action {
	return action{"the clock of " + name + " is off by " + offset, func(m *mesh) {
		m.agents[name].stop()
		m.clocks[name] = offset
		m.startAgent(name)
	}}
}

// Do is any other action.
func Do(what string, do func(*mesh)) action { return action{what, do} }
