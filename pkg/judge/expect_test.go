package judge_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// checkText checks sentences, advisories, causes and counts.
func checkText(w *world, l line) error {
	switch l.verb {
	case "says", "tells", "abstains":
		if text := strings.Trim(l.args[1], `"`); !strings.Contains(textOf(w, l.verb, l.args[0]), text) {
			return fmt.Errorf("%s %s: %q\n%s", l.args[0], l.verb, textOf(w, l.verb, l.args[0]), w.votes(l.args[0]))
		}
	case "together", "apart":
		a, b := causeOf(w, l.args[0]), causeOf(w, l.args[1])
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
		if most, _ := strconv.Atoi(l.args[0]); probedSoFar(w) > most {
			return fmt.Errorf("%d probes", probedSoFar(w))
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

// textOf returns a check's sentence, its advisories, or why a vantage does not vote.
func textOf(w *world, which, what string) string {
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

// causeOf returns the cause of the host's outage.
func causeOf(w *world, host string) string {
	for _, h := range w.snapshot().Hosts {
		for _, c := range h.Checks {
			if h.Name == host && c.Cause != "" {
				return c.Cause
			}
		}
	}
	return ""
}

// verdict returns the verdict of HOST/CHECK, or the status of HOST.
func (w *world) verdict(what string) string {
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

// votes explains a host's checks for a scenario that failed.
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
		fmt.Fprintf(&b, "%v %s/%s %s -> %s (%s): %s\n", tr.Published.Sub(epoch), tr.Host, tr.Check, tr.Was, tr.Verdict,
			tr.Rule, tr.Sentence)
	}
	return b.String()
}

// checkBegan checks when the latest transition of the check says that its cause began.
func checkBegan(w *world, what, when string) error {
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
	// The first probe after a cause sees it: up to an interval divided by the number of vantages later.
	if got := last.Began.Sub(epoch); got < want-time.Second || got > want+4*time.Second {
		return fmt.Errorf("%s is said to have begun at %v, wanted %v", what, got, want)
	}
	return nil
}
