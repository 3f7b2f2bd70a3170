package judge_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestScenarios plays every file of testdata. A scenario is a description of the mesh and then timed lines, which
// change the world or check what the judge makes of it. The description:
//
//	regions NAME[:VANTAGES] ...   the mesh: a region each, with so many vantages (default 1) called NAME1, NAME2 ...
//	checks NAME ...               of every host, default smtp and imap; ping is a ping
//	dual                          every host has an IPv4 and an IPv6 address
//	named                         every host has a name, probed through both families
//	gossip                        every agent gossips; with each batch it asks the hosts whose ping it lost for a proof
//	rule KEY VALUE                one of the rule's settings
//
// Changes of the world. WHERE is a region or a vantage, after "from" also ipv4 or ipv6; HOST and CHECK may be *:
//
//	TIME fail HOST/CHECK "REASON" [from WHERE ...]
//	    probes fail. A reason "timeout" takes the time of its retries; after "one probe lost" the first retry is
//	    answered; "no route", "no address" and "silent resolver" are inconclusive
//	TIME mend HOST/CHECK [from WHERE ...]       probes succeed again
//	TIME alternate HOST/CHECK "REASON" [from WHERE ...]
//	    every second probe fails, scheduled or for a round, until mended
//	FROM-TO flap HOST/CHECK PERIOD ["REASON"] [from WHERE ...]
//	    probes fail and succeed by turns, for a period each
//	TIME cut REGION ... | TIME join             these regions lose the others and the coordinator; all is mended
//	TIME silent WHERE ... | TIME speaks WHERE ...      agents send nothing; send again
//	TIME blind WHERE ... | TIME sighted WHERE ...      agents send, and probe nothing; probe again
//	TIME deaf WHERE ... | TIME hears WHERE ...         agents do not receive requests for rounds; receive them again
//	TIME old WHERE ... | TIME new WHERE ...
//	    agents are of the previous version, which does not distinguish the families of a name; of this version
//	TIME lag WHERE TIME | TIME clock WHERE TIME        an agent's timers overrun; its clock is off
//	TIME anchors WHERE fail|answer                     its test of its own network
//	TIME hush HOST ... | TIME answers HOST ...         agents answer no gossip, are dead to it after 10 s; answer again
//	TIME mute WHERE ...                                agents report nothing of gossip
//	TIME forged HOST ...    one member forges the host's acknowledgements to all others; it cannot forge proofs
//	TIME lies VANTAGE HOST alive|dead                  what an agent's gossip reports of a host, whatever is true
//	FROM-TO floods VANTAGE HOST/CHECK KIND
//	    a lying agent reports four times a second by turns: a first miss and an ok (misses), a failure and an ok
//	    (alternates), an ok and something inconclusive (recovers)
//	TIME copies VANTAGE     its server is copied: a second agent, VANTAGE-copy, uses its identity from then on
//	TIME starts WHERE ...                              agents restart
//	TIME stop | TIME start                             the stream stops: nothing is stored, agents keep what they saw
//	TIME back TIME | TIME forward TIME                 the wall clock of the stream's server is stepped
//	TIME restart                                       a new judge continues from what was published
//	TIME rename HOST NAME | TIME rename HOST/CHECK HOST/NAME
//	TIME swap HOST HOST | TIME swap HOST/CHECK HOST/CHECK
//	    another catalog, with was; lines have the new names from then on, and vantages those that they joined with
//	TIME except HOST/CHECK [REGION ...]
//	    another catalog, in which these regions leave the check out; none: every region looks again
//	TIME add HOST/CHECK     a new check in the catalog; change: one that asks something else from then on
//
// Checks of what the judge makes of it:
//
//	TIME is HOST[/CHECK] WORD                          its verdict or status at that time
//	FROM-TO always HOST[/CHECK] WORD                   at every time between
//	TIME was HOST/CHECK began TIME                     when the latest transition's cause began, within a second
//	TIME says HOST/CHECK "TEXT"                        part of its sentence; tells: of an advisory
//	TIME abstains VANTAGE "TEXT"                       part of why it does not vote
//	TIME together HOST HOST | TIME apart HOST HOST     their outages have one cause, or two
//	TIME turned HOST/CHECK N                           transitions since the beginning
//	TIME probed N                                      at most so many probes for rounds since the beginning
//	TIME asked N HOST                                  at most so many rounds since then; looked: at least so many
//
// Every agent probes by its schedule, every 10 s, and for rounds, and the judge gets the ticks that a leader would
// send.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			play(t, file)
		})
	}
}

// line is one timed line of a scenario.
type line struct {
	number   int
	from, to time.Duration
	verb     string
	args     []string
}

var timed = regexp.MustCompile(`^([0-9.]+(?:s|ms|m))(?:-([0-9.]+(?:s|ms|m)))?\s+(\S+)\s*(.*)$`)
var token = regexp.MustCompile(`"[^"]*"|\S+`)

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
			l := line{number: n, verb: match[3], args: token.FindAllString(match[4], -1)}
			l.from, _ = time.ParseDuration(match[1])
			l.to = l.from
			if match[2] != "" {
				l.to, _ = time.ParseDuration(match[2])
			}
			lines = append(lines, l)
		case fields[0] == "regions":
			w.addRegions(fields[1:])
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
			t.Fatalf("%s:%d: not a line of a scenario: %s", file, n, text)
		}
	}
	w.begin()
	w.run(t, file, lines)
}

// run advances the world in steps of 50 ms and does what the lines say.
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

// do does what a timed line says.
func (w *world) do(l line) error {
	if err := checkNames(w, l); err != nil {
		return err
	}
	if w.changePaths(l) || w.changeAgents(l) || w.changeGossip(l) {
		return nil
	}
	switch l.verb {
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
	case "rename":
		return renameIn(w, map[string]string{l.args[0]: l.args[1]})
	case "swap":
		return renameIn(w, map[string]string{l.args[0]: l.args[1], l.args[1]: l.args[0]})
	case "add", "change":
		addCheck(w, l.args[0])
	case "except":
		exceptRegions(w, l.args[0], l.args[1:])
	case "is", "always":
		if got := w.verdict(l.args[0]); got != l.args[1] {
			return fmt.Errorf("%s is %s, wanted %s\n%s", l.args[0], got, l.args[1], w.votes(l.args[0]))
		}
	case "was":
		return checkBegan(w, l.args[0], l.args[2])
	default:
		return checkText(w, l)
	}
	return nil
}

// changePaths changes what probes find, and reports whether the line is about that.
func (w *world) changePaths(l line) bool {
	switch l.verb {
	case "fail":
		w.eachPath(l.args[0], cutFrom(l.args[2:]), func(p path) { w.broken[p] = strings.Trim(l.args[1], `"`) })
	case "alternate":
		w.eachPath(l.args[0], cutFrom(l.args[2:]), func(p path) { w.alternating[p] = strings.Trim(l.args[1], `"`) })
	case "mend":
		w.eachPath(l.args[0], cutFrom(l.args[1:]), func(p path) { delete(w.broken, p); delete(w.alternating, p) })
	case "flap":
		flapPaths(w, l)
	case "cut":
		cutRegions(w, l.args)
	case "join":
		clear(w.broken)
		w.eachAgent(nil, func(a *agent) { a.silent = false })
	default:
		return false
	}
	return true
}

// changeAgents changes what agents do, and reports whether the line is about that.
func (w *world) changeAgents(l line) bool {
	switch l.verb {
	case "floods":
		flood(w, l.args[0], l.args[1], l.args[2])
	case "silent", "speaks":
		w.eachAgent(l.args, func(a *agent) { a.silent = l.verb == "silent" })
	case "blind", "sighted":
		w.eachAgent(l.args, func(a *agent) { a.blind = l.verb == "blind" })
	case "deaf", "hears":
		w.eachAgent(l.args, func(a *agent) { a.deaf = l.verb == "deaf" })
	case "old", "new":
		w.eachAgent(l.args, func(a *agent) { a.old = l.verb == "old" })
	case "lag":
		w.eachAgent(l.args[:1], func(a *agent) { a.lag, _ = time.ParseDuration(l.args[1]) })
	case "clock":
		w.eachAgent(l.args[:1], func(a *agent) { a.clock, _ = time.ParseDuration(l.args[1]) })
	case "anchors":
		w.eachAgent(l.args[:1], func(a *agent) { a.anchorsFail = l.args[1] == "fail" })
	case "copies":
		copyAgent(w, l.args[0])
	case "starts":
		restartAgents(w, l.args)
	default:
		return false
	}
	return true
}

// cutFrom returns the words after "from".
func cutFrom(args []string) []string {
	if len(args) == 0 || args[0] != "from" {
		return nil
	}
	return args[1:]
}
