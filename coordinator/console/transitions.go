package console

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// transitionView explains one change of a verdict.
type transitionView struct {
	web.Look
	ID, Host, Check, Was, Verdict, Sentence, Rule string
	With                                          []string // hosts that failed from the same cause
	Began, Published                              time.Time
	After                                         time.Duration // from the cause to the publication
	Tally                                         mesh.Tally
	Before                                        string // the address of the host page just before
	Votes                                         checkView
	Axis                                          *axis
	Earlier, Steps                                []stepRow
	Missing                                       string // why there are no steps
}

// StepsAfter is the table of the steps from the cause on.
func (v transitionView) StepsAfter() labelled[stepRow] {
	return labelled[stepRow]{"Steps to " + v.ID + " from the cause on", v.Steps}
}

// StepsBefore is the table of the steps before the cause.
func (v transitionView) StepsBefore() labelled[stepRow] {
	return labelled[stepRow]{"Steps to " + v.ID + " before the cause", v.Earlier}
}

// stepRow is one step on the way to a verdict.
type stepRow struct {
	Offset string // from the cause
	At     time.Time
	Kind   string
	Text   string
	Rule   string
}

// axis draws the probes of each vantage over time.
type axis struct {
	Width, Height int
	Rows          []axisRow
	Lines         []axisLine // rounds, and when the verdict was published
	Ticks         []axisTick
}

type axisRow struct {
	Y             int
	Vantage, Area string
	Probes        []axisProbe
}

type axisProbe struct {
	web.Look
	X, From int // of the result, and of the beginning
	Title   string
}

type axisLine struct {
	X    int
	Text string
	Kind string
}

type axisTick struct {
	X    int
	Text string
}

// transitionsOnPage bounds the changes that one page explains: each costs a replay.
const transitionsOnPage = 5

// transitionPage explains the changes that were decided at one message of the stream.
func transitionPage(s *console, r request) (view, error) {
	sequence, err := strconv.ParseUint(r.PathValue("sequence"), 10, 64)
	if err != nil {
		return view{}, web.Errorf(http.StatusNotFound, "A change has a number, not %q.", r.PathValue("sequence"))
	}
	all, err := s.config.Source.DecidedAt(r.Context(), sequence)
	if err != nil {
		return view{}, err
	}
	if len(all) == 0 {
		return view{}, web.Errorf(http.StatusNotFound, "No verdict changed at message %d.", sequence)
	}
	var shown []transitionView
	steps := table{name: "steps", columns: []string{"id", "at", "kind", "text", "rule"}}
	for _, t := range all[:min(len(all), transitionsOnPage)] {
		one := s.newTransitionView(r, t)
		shown = append(shown, one)
		for _, step := range slices.Concat(one.Earlier, one.Steps) {
			steps.rows = append(steps.rows, []any{t.ID, step.At, step.Kind, step.Text, step.Rule})
		}
	}
	linksTo := time.Time{} // the pages of what has left the catalog are those of the moment
	if slices.ContainsFunc(all, func(t mesh.Transition) bool { return hasLeft(r, t) }) {
		linksTo = all[0].Published.Truncate(time.Second).Add(time.Second)
	}
	return view{
		title: "Change " + r.PathValue("sequence"), template: "transition", section: "/", still: true, linksTo: linksTo,
		data: struct {
			Changes []transitionView
			More    int
		}{shown, len(all) - len(shown)},
		tables: []table{steps},
	}, nil
}

func (s *console) newTransitionView(r request, t mesh.Transition) transitionView {
	state := mesh.CheckState{
		Name: t.Check, Verdict: t.Verdict, Since: t.Began, Rule: t.Rule, Sentence: t.Sentence, Tally: t.Tally, Votes: t.Votes,
	}
	v := transitionView{
		ID: t.ID, Host: t.Host, Check: t.Check, Sentence: t.Sentence,
		Rule: quorum.VerdictInWords(t.Verdict, t.Rule, r.catalog.Rule), With: s.failedWith(r, t),
		Began: t.Began, Published: t.Published, After: t.Published.Sub(t.Began),
		Tally: t.Tally, Votes: r.newCheckView(&mesh.HostState{Name: t.Host}, &state),
		Before: hostPath(t.Host) + "?at=" + momentText(t.Began.Add(-time.Second).Truncate(time.Second)),
	}
	v.Look, v.Was, v.Verdict = describeChange(t)
	v.Votes.Waits = "" // the votes are not those of now
	if countBad(t.Votes) != t.Tally.Bad {
		v.Votes.Waits = "The votes shown are those of the moment of publication; the verdict counts those that decided it."
	}
	switch {
	case t.Check == "":
		v.Missing = "The status follows from the verdicts of the host's checks alone."
		return v
	case s.config.Past == nil:
		v.Missing = "The past cannot be replayed here."
		return v
	}
	addSteps(s, r, t, &v)
	return v
}

// addSteps adds what led to a change of a verdict to its view, or why that is missing.
func addSteps(s *console, r request, t mesh.Transition, v *transitionView) {
	events, err := s.config.Past.Trace(r.Context(), t)
	if err != nil {
		v.Missing = "The way to it cannot be replayed."
		if errkind.Of(err) != errkind.Internal {
			v.Missing = fmt.Sprintf("The way to it cannot be replayed: %v.", err)
		}
		return
	}
	begin := judge.StepsBegin(t.Began, events)
	for _, e := range events {
		step := stepRow{
			Offset: fmt.Sprintf("%+.2f s", e.At.Sub(t.Began).Round(10*time.Millisecond).Seconds()), At: e.At,
			Kind: string(e.Kind), Text: e.Text,
			Rule: quorum.VerdictInWords(e.Verdict, e.Rule, r.catalog.Rule),
		}
		if e.At.Before(begin) {
			v.Earlier = append(v.Earlier, step)
		} else {
			v.Steps = append(v.Steps, step)
		}
	}
	if v.Axis = newAxis(t, events, r.names()); v.Axis != nil {
		for i := range v.Axis.Rows {
			v.Axis.Rows[i].Area = sentence.City(r.catalog, v.Axis.Rows[i].Area)
		}
	}
}

// failedWith returns the hosts that failed from the same cause as a change.
func (s *console) failedWith(r request, t mesh.Transition) (out []string) {
	if t.Cause == "" {
		return nil
	}
	at := t.Published.Add(t.Offset)
	all, err := s.config.Source.TransitionsIn(r.Context(), "", at.Add(-causeWithin), at.Add(causeWithin), changesRead)
	if err != nil {
		return nil // a page without them is better than none
	}
	for _, o := range all {
		if o.Cause == t.Cause && o.Host != t.Host && !slices.Contains(out, o.Host) {
			out = append(out, o.Host)
		}
	}
	return out
}

// countBad counts the bad votes that count.
func countBad(votes []mesh.RegionVote) (n int) {
	for i := range votes {
		if v := &votes[i]; !v.Own && v.Vote == mesh.Bad {
			n++
		}
	}
	return n
}

// causeWithin is how long before and after a change others of its cause are sought.
const causeWithin = 10 * time.Minute

const (
	axisWidth  = 1200
	axisLeft   = 220 // for the names
	axisRight  = 90
	axisRowGap = 22
	axisTop    = 50
	axisTicks  = 8
)

// axisMax bounds the time between cause and verdict on an axis: of a longer one, all probes would stand at its end.
const axisMax = 24 * time.Hour

// newAxis draws the probes of a trace, a row for each vantage.
func newAxis(t mesh.Transition, events []judge.Event, names map[string]string) *axis {
	var rows []axisRow
	if len(events) == 0 || t.Published.Sub(t.Began) > axisMax {
		return nil
	}
	from := judge.DrawnFrom(t.Began, t.Published, events)
	span := max(t.Published.Sub(from), time.Second)
	x := func(at time.Time) int {
		return min(
			max(axisLeft+int((axisWidth-axisLeft-axisRight)*int64(at.Sub(from))/int64(span)), axisLeft),
			axisWidth-axisRight,
		)
	}
	a := &axis{Width: axisWidth}
	for _, e := range events {
		switch e.Kind {
		case judge.Observed:
			if e.Probe.Ended().Before(from) {
				continue
			}
			i := slices.IndexFunc(rows, func(r axisRow) bool { return mesh.Key(r.Vantage) == e.Vantage })
			if i < 0 {
				i, rows = len(rows), append(rows, axisRow{Vantage: cmp.Or(names[e.Vantage], e.Vantage), Area: e.Region})
			}
			rows[i].Probes = append(rows[i].Probes, newAxisProbe(e, x))
		case judge.RoundOpened:
			if !e.At.Before(from) {
				a.Lines = append(a.Lines, axisLine{x(e.At), fmt.Sprintf("round %d", e.Round), "round"})
			}
		}
	}
	a.Lines = append(a.Lines, axisLine{x(t.Began), "cause", "cause"}, axisLine{x(t.Published), "published", "published"})
	slices.SortFunc(rows, func(p, q axisRow) int {
		return slices.Compare([]string{p.Area, p.Vantage}, []string{q.Area, q.Vantage})
	})
	for i := range rows {
		rows[i].Y = axisTop + 10 + i*axisRowGap
	}
	a.Rows, a.Height = rows, axisTop+len(rows)*axisRowGap+24
	step := tickStep(span)
	for by := -(t.Began.Sub(from) / step) * step; !t.Began.Add(by).After(from.Add(span)); by += step {
		a.Ticks = append(a.Ticks, axisTick{x(t.Began.Add(by)), tickText(by)})
	}
	return a
}

// tickStep returns the least whole step of which a span has at most axisTicks.
func tickStep(span time.Duration) time.Duration {
	step := time.Second
	for _, s := range []int{2, 5, 10, 15, 30, 60, 120, 300, 600, 1800} {
		if span <= axisTicks*step {
			return step
		}
		step = time.Duration(s) * time.Second
	}
	for span > axisTicks*step {
		step *= 2
	}
	return step
}

// tickText writes a whole number of seconds or minutes: "0 s", "+5 s", "-2 min".
func tickText(by time.Duration) string {
	switch {
	case by == 0:
		return "0 s"
	case by%time.Minute == 0:
		return fmt.Sprintf("%+d min", by/time.Minute)
	}
	return fmt.Sprintf("%+d s", by/time.Second)
}

func newAxisProbe(e judge.Event, x func(time.Time) int) axisProbe {
	p := axisProbe{
		Look: web.VoteLook(mesh.OK), X: x(e.Probe.Ended()), From: x(e.Probe.Began), Title: e.Text,
	}
	switch {
	case e.Probe.Stage == mesh.Missed:
		p.Look = web.VerdictLook(mesh.Degraded)
	case e.Probe.Outcome == mesh.Unreachable:
		p.Look = web.VoteLook(mesh.Bad)
	case e.Probe.Outcome == mesh.Inconclusive:
		p.Look = web.VoteLook(mesh.Abstain)
	}
	return p
}
