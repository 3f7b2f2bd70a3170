package judge_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// TestScenarios plays every story of testdata. A story is a catalog line, then timed lines:
//
//	regions NAME[:VANTAGES] ...     the mesh: a region each, with so many vantages (1 unless said) named NAME1, NAME2 ...
//	checks NAME ...                 what is asked of every host: smtp and imap unless said; ping is a ping
//	dual                            every host has an IPv4 and an IPv6 address
//	named                           every host has a name, looked at through both families
//	gossip                          every agent gossips; a host whose ping is lost is asked by it with each batch
//	rule KEY VALUE                  one of the rule's settings, before the first timed line
//	TIME fail HOST/CHECK "REASON" [from WHERE ...]      looks fail; a reason "timeout" takes its retries' time, after "one
//	                                                    probe lost" the first retry is answered, "no route", "no
//	                                                    address" and "silent resolver" are inconclusive. WHERE is a region
//	                                                    or a vantage, ipv4 or ipv6; HOST and CHECK may be *
//	TIME mend HOST/CHECK [from WHERE ...]               looks succeed again
//	TIME alternate HOST/CHECK "REASON" [from WHERE ...] every second look fails, whether scheduled or asked for; until mended
//	FROM-TO flap HOST/CHECK PERIOD ["REASON"] [from WHERE ...]     looks fail and succeed by turns of a period each
//	TIME cut REGION ... | TIME join                     these regions and the others lose one another, and the first ones the
//	                                                    coordinator; all is mended
//	TIME silent WHERE ... | TIME speaks WHERE ...       agents fall silent, and speak again
//	TIME blind WHERE ... | TIME sighted WHERE ...       agents speak and look no more; look again
//	TIME deaf WHERE ... | TIME hears WHERE ...          agents look by their schedule, and are not reached when asked; are again
//	TIME old WHERE ... | TIME new WHERE ...             agents are of the version before, which knows no families of a name;
//	                                                    are of this version
//	TIME lag WHERE TIME | TIME clock WHERE TIME         an agent's timers overrun; its clock is off
//	TIME anchors WHERE fail|answer  its own test of its network
//	TIME forged HOST ...            one member forges the host's acknowledgements to all others; it cannot forge proofs
//	TIME hush HOST ... | TIME answers HOST ...          agents answer no gossip, and are dead to it after 10 s; do again
//	TIME mute WHERE ...             agents that tell nothing of gossip
//	TIME lies VANTAGE HOST alive|dead       what an agent's gossip tells of a host, whatever is true
//	FROM-TO floods VANTAGE HOST/CHECK KIND  a lying agent reports four times a second, in turn, a first miss and an ok (misses),
//	                                        a failure and an ok (alternates), or an ok and nothing conclusive (recovers)
//	TIME copies VANTAGE             its server is copied: a second agent, VANTAGE-copy, uses its identity from then on
//	TIME starts WHERE ...           agents start anew
//	TIME stop | TIME start          the stream itself stops: nothing is stored, agents keep what they saw
//	TIME back TIME | TIME forward TIME      the wall clock of the stream's server is stepped
//	TIME restart                    a new judge takes over from what was published
//	TIME add HOST/CHECK             a check that is new in the catalog; change: one that asks something else from then on
//	TIME is HOST[/CHECK] WORD       the verdict or status at that moment
//	TIME was HOST/CHECK began TIME  the time that the latest transition says its cause began, within a second
//	TIME says HOST/CHECK "TEXT"     part of its sentence; tells: of an advisory; abstains VANTAGE "TEXT": why it does not vote
//	TIME together HOST HOST | TIME apart HOST HOST      what is broken of them has one cause, or two
//	TIME turned HOST/CHECK N        so many transitions since the story began
//	TIME probed N                   at most so many probes that rounds asked for since the story began
//	TIME asked N HOST               at most so many rounds since the story began; looked: at least so many
//	FROM-TO always HOST[/CHECK] WORD    at every moment between
//
// Every agent looks by its schedule every 10 s and when asked, and every judge's tick is as the leader would send it.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			play(t, file)
		})
	}
}

// line is one timed line of a story.
type line struct {
	number   int
	from, to time.Duration
	verb     string
	args     []string
}

var timed = regexp.MustCompile(`^([0-9.]+(?:s|ms|m))(?:-([0-9.]+(?:s|ms|m)))?\s+(\S+)\s*(.*)$`)
var word = regexp.MustCompile(`"[^"]*"|\S+`)

func play(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := newWorld()
	var lines []line
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		text, _, _ := strings.Cut(in.Text(), "#")
		text = strings.TrimSpace(text)
		match := timed.FindStringSubmatch(text)
		switch fields := strings.Fields(text); {
		case text == "":
		case match != nil:
			l := line{number: n, verb: match[3], args: word.FindAllString(match[4], -1)}
			l.from, _ = time.ParseDuration(match[1])
			l.to = l.from
			if match[2] != "" {
				l.to, _ = time.ParseDuration(match[2])
			}
			lines = append(lines, l)
		case fields[0] == "regions":
			w.lay(fields[1:])
		case fields[0] == "checks":
			w.checks = fields[1:]
		case fields[0] == "dual":
			w.addresses = append(w.addresses, "2001:db8::1")
		case fields[0] == "named":
			w.addresses = []string{"mail.example.net"}
		case fields[0] == "gossip":
			w.gossip.on = true
		case fields[0] == "rule":
			w.setRule(t, fields[1], fields[2])
		default:
			t.Fatalf("%s:%d: not a line of a story: %s", file, n, text)
		}
	}
	w.begin()
	w.run(t, file, lines)
}

// run lets the world go by in steps of 50 ms and does what the lines say.
func (w *world) run(t *testing.T, file string, lines []line) {
	var end time.Duration
	for _, l := range lines {
		end = max(end, l.to)
	}
	done := make([]bool, len(lines))
	for w.elapsed = 0; w.elapsed <= end; w.elapsed += step {
		w.step()
		for i, l := range lines {
			if w.elapsed < l.from || l.from == l.to && done[i] || w.elapsed > max(l.to, l.from+step) {
				continue
			}
			done[i] = true
			if err := w.do(l); err != nil {
				t.Fatalf("%s:%d: at %v: %v", file, l.number, w.elapsed, err)
			}
		}
	}
}

func (w *world) do(l line) error {
	if err := w.checkNames(l); err != nil {
		return err
	}
	switch l.verb {
	case "fail":
		w.each(l.args[0], cutFrom(l.args[2:]), func(p path) { w.broken[p] = strings.Trim(l.args[1], `"`) })
	case "alternate":
		w.each(l.args[0], cutFrom(l.args[2:]), func(p path) { w.alternating[p] = strings.Trim(l.args[1], `"`) })
	case "mend":
		w.each(l.args[0], cutFrom(l.args[1:]), func(p path) { delete(w.broken, p); delete(w.alternating, p) })
	case "flap":
		w.flap(l)
	case "floods":
		w.flood(l.args[0], l.args[1], l.args[2])
	case "cut":
		w.cut(l.args)
	case "join":
		clear(w.broken)
		w.where(nil, func(a *agent) { a.silent = false })
	case "silent", "speaks":
		w.where(l.args, func(a *agent) { a.silent = l.verb == "silent" })
	case "blind", "sighted":
		w.where(l.args, func(a *agent) { a.blind = l.verb == "blind" })
	case "deaf", "hears":
		w.where(l.args, func(a *agent) { a.deaf = l.verb == "deaf" })
	case "old", "new":
		w.where(l.args, func(a *agent) { a.old = l.verb == "old" })
	case "lag":
		w.where(l.args[:1], func(a *agent) { a.lag, _ = time.ParseDuration(l.args[1]) })
	case "clock":
		w.where(l.args[:1], func(a *agent) { a.clock, _ = time.ParseDuration(l.args[1]) })
	case "anchors":
		w.where(l.args[:1], func(a *agent) { a.anchorsFail = l.args[1] == "fail" })
	case "stop", "start":
		w.stopped = l.verb == "stop"
	case "back", "forward":
		by, err := time.ParseDuration(l.args[0])
		if err != nil {
			return err
		}
		if l.verb == "back" {
			by = -by
		}
		w.stepped += by
	case "restart":
		w.restart()
	case "copies":
		w.copyAgent(l.args[0])
	case "starts":
		w.restartAgents(l.args)
	case "add", "change":
		w.add(l.args[0])
	case "is", "always":
		if got := w.word(l.args[0]); got != l.args[1] {
			return fmt.Errorf("%s is %s, wanted %s\n%s", l.args[0], got, l.args[1], w.votes(l.args[0]))
		}
	case "was":
		return w.began(l.args[0], l.args[2])
	default:
		if !w.tell(l) {
			return w.told(l)
		}
	}
	return nil
}

// told checks what is said beside the verdicts.
func (w *world) told(l line) error {
	switch l.verb {
	case "says", "tells", "abstains":
		if text := strings.Trim(l.args[1], `"`); !strings.Contains(w.words(l.verb, l.args[0]), text) {
			return fmt.Errorf("%s %s: %q\n%s", l.args[0], l.verb, w.words(l.verb, l.args[0]), w.votes(l.args[0]))
		}
	case "together", "apart":
		a, b := w.cause(l.args[0]), w.cause(l.args[1])
		if a == "" || b == "" || (a == b) != (l.verb == "together") {
			return fmt.Errorf("the causes are %q and %q\n%s%s", a, b, w.votes(l.args[0]), w.votes(l.args[1]))
		}
	case "turned":
		n := 0
		for _, t := range w.published {
			if t.Host+"/"+t.Check == l.args[0] {
				n++
			}
		}
		if fmt.Sprint(n) != l.args[1] {
			return fmt.Errorf("%s turned %d times, wanted %s\n%s", l.args[0], n, l.args[1], w.votes(l.args[0]))
		}
	case "probed":
		if most, _ := strconv.Atoi(l.args[0]); w.probed() > most {
			return fmt.Errorf("%d probes", w.probed())
		}
	case "asked":
		if most, _ := strconv.Atoi(l.args[0]); w.asked[mesh.Key(l.args[1])] > most {
			return fmt.Errorf("%d rounds", w.asked[mesh.Key(l.args[1])])
		}
	case "looked":
		if least, _ := strconv.Atoi(l.args[0]); w.asked[mesh.Key(l.args[1])] < least {
			return fmt.Errorf("%d rounds", w.asked[mesh.Key(l.args[1])])
		}
	default:
		return fmt.Errorf("no such verb: %s", l.verb)
	}
	return nil
}

// words are a check's sentence, its advisories, or why a vantage does not vote.
func (w *world) words(which, what string) string {
	s := w.snapshot()
	for _, v := range s.Vantages {
		if which == "abstains" && mesh.Key(v.Name) == what {
			return v.Abstains
		}
	}
	for _, h := range s.Hosts {
		for _, c := range h.Checks {
			switch {
			case h.Name+"/"+c.Name != what:
			case which == "tells":
				return strings.Join(c.Advisories, "; ")
			default:
				return c.Sentence
			}
		}
	}
	return ""
}

func (w *world) cause(host string) string {
	for _, h := range w.snapshot().Hosts {
		for _, c := range h.Checks {
			if h.Name == host && c.Cause != "" {
				return c.Cause
			}
		}
	}
	return ""
}

func cutFrom(args []string) []string {
	if len(args) == 0 || args[0] != "from" {
		return nil
	}
	return args[1:]
}

// word is the verdict of HOST/CHECK, or the status of HOST.
func (w *world) word(what string) string {
	host, check, isCheck := strings.Cut(what, "/")
	for _, h := range w.snapshot().Hosts {
		if h.Name != host {
			continue
		}
		if !isCheck {
			return string(h.Status)
		}
		for _, c := range h.Checks {
			if c.Name == check {
				return string(c.Verdict)
			}
		}
	}
	return "not there"
}

// votes explains a check for a story that went wrong.
func (w *world) votes(what string) string {
	host, _, _ := strings.Cut(what, "/")
	var b strings.Builder
	for _, h := range w.snapshot().Hosts {
		for _, c := range h.Checks {
			if h.Name != host {
				continue
			}
			fmt.Fprintf(&b, "%s: %s; rule: %s; %+v\n", c.Name, c.Sentence, c.Rule, c.Tally)
			for _, v := range c.Votes {
				fmt.Fprintf(&b, "  %s %s %s\n", v.Region, v.Vote, v.Why)
			}
		}
	}
	for _, tr := range w.published {
		fmt.Fprintf(&b, "%v %s/%s %s -> %s (%s): %s\n", tr.Published.Sub(epoch), tr.Host, tr.Check, tr.Was, tr.Verdict, tr.Rule, tr.Sentence)
	}
	return b.String()
}

func (w *world) began(what, when string) error {
	want, err := time.ParseDuration(when)
	if err != nil {
		return err
	}
	host, check, _ := strings.Cut(what, "/")
	var last *mesh.Transition
	for i := range w.published {
		if tr := &w.published[i]; tr.Host == host && tr.Check == check {
			last = tr
		}
	}
	if last == nil {
		return fmt.Errorf("%s never changed", what)
	}
	// A cause is seen by the first look after it: up to an interval over the number of vantages later.
	if got := last.Began.Sub(epoch); got < want-time.Second || got > want+4*time.Second {
		return fmt.Errorf("%s is said to have begun at %v, wanted %v", what, got, want)
	}
	return nil
}
