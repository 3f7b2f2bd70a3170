package judge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// checkNames returns an error if a line of a scenario names a host, check, region or vantage that does not exist.
// Without it such a line would match nothing, and the scenario would pass without testing what it says.
func checkNames(w *world, l line) error {
	switch a := l.args; l.verb {
	case "fail", "alternate":
		return firstError(checkPaths(w, a[0]), checkFrom(w, a[2:]))
	case "mend":
		return firstError(checkPaths(w, a[0]), checkFrom(w, a[1:]))
	case "flap":
		from := a[2:]
		if len(from) > 0 && strings.HasPrefix(from[0], `"`) {
			from = from[1:]
		}
		return firstError(checkPaths(w, a[0]), checkFrom(w, from))
	case "floods":
		return firstError(checkWhere(w, a[:1]), checkPaths(w, a[1]), oneOf(a[2], "misses", "alternates", "recovers"))
	case "cut":
		for _, region := range a {
			if w.catalog.Region(region) == nil {
				return fmt.Errorf("no such region: %s", region)
			}
		}
	case "silent", "speaks", "blind", "sighted", "deaf", "hears", "old", "new", "starts", "mute":
		return checkWhere(w, a)
	case "lag", "clock", "copies", "abstains":
		return checkWhere(w, a[:1])
	case "anchors":
		return firstError(checkWhere(w, a[:1]), oneOf(a[1], "fail", "answer"))
	case "hush", "answers", "forged":
		return checkHosts(w, a...)
	case "lies":
		return firstError(checkWhere(w, a[:1]), checkHosts(w, a[1]), oneOf(a[2], "alive", "dead"))
	case "asked", "looked":
		return checkHosts(w, a[1])
	case "says", "tells", "turned":
		return checkPaths(w, a[0])
	case "except":
		return firstError(checkPaths(w, a[0]), checkWhere(w, a[1:]))
	case "add", "change":
		host, _, _ := strings.Cut(a[0], "/")
		return checkHosts(w, host)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func oneOf(word string, words ...string) error {
	if !slices.Contains(words, word) {
		return fmt.Errorf("%q is none of %s", word, strings.Join(words, ", "))
	}
	return nil
}

// checkPaths checks HOST/CHECK, either of which may be *.
func checkPaths(w *world, what string) error {
	host, check, _ := strings.Cut(what, "/")
	for _, h := range slices.Concat(w.inForce().Hosts, w.catalog.Hosts) { // a line that lasts may begin before a rename
		for _, c := range h.Checks {
			if (host == "*" || host == h.Name || mesh.Key(host) == h.Name) && (check == "*" || check == c.Name) {
				return nil
			}
		}
	}
	return fmt.Errorf("no such host or check: %s", what)
}

func checkHosts(w *world, hosts ...string) error {
	for _, host := range hosts {
		if w.inForce().Host(mesh.Key(host)) == nil {
			return fmt.Errorf("no such host: %s", host)
		}
	}
	return nil
}

// checkFrom checks what may follow paths: nothing, or "from WHERE ...".
func checkFrom(w *world, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if args[0] != "from" || len(args) == 1 {
		return fmt.Errorf("from WHERE ... is expected, not %q", strings.Join(args, " "))
	}
	isFamily := func(s string) bool { return s == "ipv4" || s == "ipv6" }
	return checkWhere(w, slices.DeleteFunc(slices.Clone(args[1:]), isFamily))
}

// checkWhere checks that each word is a region or a vantage.
func checkWhere(w *world, words []string) error {
	for _, word := range words {
		if !slices.ContainsFunc(w.agents, func(a *agent) bool { return a.region == word || a.place == word }) {
			return fmt.Errorf("no such region or vantage: %s", word)
		}
	}
	return nil
}

func TestScenarioWithUnknownNamesFails(t *testing.T) {
	w := newWorld()
	w.addRegions([]string{"ams", "lon", "van"})
	w.begin()
	for _, text := range []string{
		`fail AMS9/smtp "timeout"`, `fail AMS1/pop3 "timeout"`, `fail AMS1/smtp "timeout" from paris`,
		`fail AMS1/smtp "timeout" lon`, `mend AMS9/smtp`, `mend AMS1/smtp lon`, `alternate AMS9/* "timeout"`,
		`flap AMS1/smtp 20s "timeout" from paris`, `floods paris1 AMS1/smtp misses`,
		`floods lon1 AMS9/smtp misses`, `floods lon1 AMS1/smtp anything`, `cut paris`, `silent paris`,
		`speaks lon1 paris1`, `blind paris`, `deaf paris`, `old paris`, `starts paris`, `mute paris`,
		`lag paris 3s`, `clock paris 90s`, `anchors paris fail`, `anchors lon fails`, `copies paris1`, `hush PAR1`,
		`forged PAR1`, `lies lon1 PAR1 dead`, `asked 3 PAR1`, `looked 1 PAR1`, `turned PAR1/smtp 0`,
		`abstains paris1 ""`, `tells PAR1/smtp ""`, `add PAR1/imap`, `is PAR1/smtp up`, `no-such-verb`,
	} {
		words := token.FindAllString(text, -1)
		if err := w.do(line{verb: words[0], args: words[1:]}); err == nil {
			t.Errorf("%s: it passes", text)
		}
	}
}
