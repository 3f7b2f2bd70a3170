package site

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// The data of the templates index, host and matrix.

type indexView struct {
	web.Look
	Headline, Detail string
	// OutOfDate is set when half or more of the regions are silent at once: then this coordinator may be cut off, and
	// what it shows may be old.
	OutOfDate bool
	Incidents []incidentView
	Coming    []maintenanceView // in progress and planned
	Groups    []groupView
	DaysShown int
	Past      []dayView
	Changes   []changeView
}

type groupView struct {
	ID     int // among the groups
	Name   string
	Hosts  []hostView
	Well   []wellView // of a page of many hosts: those without trouble, in a line that unfolds
	Folded bool       // the page has many hosts
	Headed bool       // the page has so many hosts that a reader looks for a group first
}

// wellView is a host that needs no more than its name.
type wellView struct{ Name, Title string }

type hostView struct {
	web.Look
	Name, Title, City, Country, Flag, Role, Reach string
	Since                                         time.Time
	Checks                                        []checkView
	Days                                          daysView
	Latency                                       string // "84 ms"; empty without an answer
}

type checkView struct {
	web.Look
	Name, Sentence string
	Slug           string // its name in addresses, escaped
	Since          time.Time
	Leading        bool // the page of the host unfolds it
	Votes          []voteView
	Advisories     []string
	Latency        string // "84 ms"; empty without an answer
	Regions        []regionView
}

type voteView struct {
	web.Look
	Region, City string
	Short        string // the word without a reason
	Own          bool
}

// changeView is a change of a check's verdict. StatusChange says how the host's status changed with it, if it did.
type changeView struct {
	web.Look
	Host, Title, Check, Sentence, StatusChange string
	Began, Published                           time.Time
}

// headedAbove is the number of hosts above which groups have headings: the titles of fewer hosts say enough.
const headedAbove = 12

// foldedAbove is the number of hosts above which a page shows those without trouble of a group as one line.
const foldedAbove = 30

// reasonView is a reason of votes, with the cities of the regions that give it.
type reasonView struct {
	web.Look
	Cities string
}

// Reasons are the reasons of the votes that are counted and have one.
func (c checkView) Reasons() (out []reasonView) {
	for _, v := range c.Votes {
		if v.Own || v.Word == v.Short {
			continue
		}
		i := slices.IndexFunc(out, func(r reasonView) bool { return r.Word == v.Word })
		if i < 0 {
			out = append(out, reasonView{v.Look, v.City})
		} else {
			out[i].Cities += ", " + v.City
		}
	}
	return out
}

// measure adds what was measured of the host over time.
func (h *hostView) measure(m *measured) {
	key := mesh.Key(h.Name)
	h.Days = newDaysView(m.days[key], m.from)
	h.Latency = milliseconds(m.latency[key].Median)
	for i := range h.Checks {
		c := &h.Checks[i]
		recent := m.latency.Of(key, c.Name)
		c.Latency, c.Regions = typical(recent, c.own()), newRegionViews(c.Votes, recent)
	}
}

// own is the region of the check's host.
func (c checkView) own() string {
	for _, v := range c.Votes {
		if v.Own {
			return v.Region
		}
	}
	return ""
}

// Trouble reports whether the host is anything but operational.
func (h hostView) Trouble() bool { return h.Class != web.StatusLook(mesh.Operational).Class }

// Unfolded reports whether the checks are to be read at once: they say more than the word of the host. Where nothing is
// known of any, or maintenance covers them all, each would repeat it.
func (h hostView) Unfolded() bool {
	unknown, maintained := web.StatusLook(mesh.StatusUnknown).Class, web.StatusLook(mesh.UnderMaintenance).Class
	if h.Class != unknown && h.Class != maintained {
		return h.Trouble()
	}
	return slices.ContainsFunc(h.Checks, func(c checkView) bool { return c.Class != h.Class })
}

// Answers reports whether the host is known to answer: the round-trip times of one that does not are of before.
func (h hostView) Answers() bool {
	return h.Class != web.StatusLook(mesh.MajorOutage).Class && h.Class != web.StatusLook(mesh.StatusUnknown).Class
}

// Bad reports whether the reader needs to know more of a check than that it works.
func (c checkView) Bad() bool { return c.Class != web.VerdictLook(mesh.Up).Class }

// defaultGroup is the heading of hosts for which the catalog names no group.
const defaultGroup = "Servers"

// newIndexView groups the hosts as the catalog does, in its order.
func newIndexView(s web.State, transitions []mesh.Transition, incidents []*incident.Incident) indexView {
	overall := s.Overall(incidents)
	v := indexView{
		Look: web.StatusLook(overall.Status), OutOfDate: len(s.Snapshot.Alerts) > 0, DaysShown: barsShown,
	}
	v.Headline, v.Detail = answer(s, overall)
	changes := newChangeViews(s, transitions)
	v.Changes = changes[:min(len(changes), changesShown)]
	for _, h := range s.Hosts() {
		name := s.Catalog.Host(mesh.Key(h.Name)).Group
		if name == "" {
			name = defaultGroup
		}
		i := slices.IndexFunc(v.Groups, func(g groupView) bool { return g.Name == name })
		if i < 0 {
			v.Groups, i = append(v.Groups, groupView{ID: len(v.Groups), Name: name}), len(v.Groups)
		}
		v.Groups[i].Hosts = append(v.Groups[i].Hosts, newHostView(s, h))
	}
	for i := range v.Groups {
		v.Groups[i].Headed = len(s.Hosts()) > headedAbove
		if len(s.Hosts()) > foldedAbove {
			v.Groups[i].fold()
		}
	}
	return v
}

// fold shows of the hosts without trouble no more than their names.
func (g *groupView) fold() {
	g.Folded = true
	g.Hosts = slices.DeleteFunc(g.Hosts, func(h hostView) bool {
		if !h.Trouble() {
			g.Well = append(g.Well, wellView{h.Name, h.Title})
		}
		return !h.Trouble()
	})
}

func newHostView(s web.State, h mesh.HostState) hostView {
	config := s.Catalog.Host(mesh.Key(h.Name))
	v := hostView{
		Look: web.StatusLook(h.Status), Name: h.Name, Title: config.Called(), City: s.City(h.Region), Role: config.Role,
		Since: h.Since,
		Reach: hostReach(h),
	}
	if r := s.Catalog.Region(h.Region); r != nil {
		v.Country, v.Flag = r.Country, flag(r.Country)
	}
	for _, c := range h.Checks {
		v.Checks = append(v.Checks, newCheckView(s, c))
	}
	return v
}

// hostReach says from how many regions a host is reachable: as many as reach its most reachable check, since one answer
// proves the host itself alive. Where all regions reach it and it has an outage all the same, it counts the checks that
// fail.
func hostReach(h mesh.HostState) string {
	var best mesh.Tally
	pending, failing := false, 0
	for _, c := range h.Checks {
		if c.Verdict == mesh.Down || c.Verdict == mesh.Partial || c.Verdict == mesh.Degraded {
			failing++
		}
		if c.Verdict == mesh.Pending {
			pending = true
		} else if best.Voters == 0 || c.Tally.OK > best.OK {
			best = c.Tally
		}
	}
	switch {
	case failing > 0 && best.OK == best.Voters && h.Status != mesh.Operational:
		return fmt.Sprintf("%d of %s affected", failing, mesh.Count(len(h.Checks), "check"))
	case best.Voters > 0:
		return reach(best)
	case pending:
		return "waiting for the first results"
	}
	return "not monitored"
}

func reach(t mesh.Tally) string {
	return fmt.Sprintf("reachable from %d of %s now", t.OK, mesh.Count(t.Voters, "region"))
}

func newCheckView(s web.State, c mesh.CheckState) checkView {
	v := checkView{
		Look:  web.VerdictLook(c.Verdict),
		Name:  c.Name,
		Slug:  url.PathEscape(slug(c.Name)),
		Since: c.Since,
	}
	v.Sentence = present(v.Word, c.Sentence)
	if c.Maintenance != "" { // the sentence says what was measured all the same
		v.Look, v.Since = web.CheckLook(c), time.Time{}
	}
	for _, r := range c.Votes { // of the host's own region too: it is shown and not counted
		v.Votes = append(v.Votes, newVoteView(s, r))
	}
	if s.Audience == web.Operators { // PublicCheck removes them for the public, too
		v.Advisories = c.Advisories
	}
	return v
}

func newVoteView(s web.State, r mesh.RegionVote) voteView {
	v := voteView{Look: web.VoteLook(r.Vote), Region: r.Region, City: s.City(r.Region), Own: r.Own}
	v.Short = v.Word
	switch {
	case r.Own:
		v.Short = "not counted"
		v.Word += " (same region, not counted)"
	case r.Why != "":
		v.Word += " (" + s.VoteReason(r) + ")"
	}
	return v
}

// present says that the numbers of a sentence are those of now: on the same page, an incident has those of its time. It
// leaves out the verdict, which stands beside the sentence.
func present(verdict, sentence string) string {
	if !strings.Contains(sentence, " region") {
		return sentence // no numbers
	}
	if rest, ok := strings.CutPrefix(sentence, "Pending: new, "); ok {
		return "New, " + rest
	}
	if rest, ok := strings.CutPrefix(sentence, verdict+": "); ok {
		return "Now " + rest
	}
	return "Now: " + sentence
}

// newChangeViews lists transitions, newest first. That a new check got its first verdict is no news, and is left out.
func newChangeViews(s web.State, transitions []mesh.Transition) []changeView {
	var out []changeView
	for _, t := range slices.Backward(transitions) {
		if !s.Visible(t.Public) || t.Was == mesh.Pending {
			continue
		}
		v := changeView{
			Look: web.VerdictLook(t.Verdict), Host: t.Host, Title: s.Called(t.Host), Check: t.Check, Sentence: t.Sentence,
			Began: t.Began, Published: t.Published,
		}
		from, to := web.StatusLook(t.From), web.StatusLook(t.To)
		if t.Check == "" { // the host's status changed by itself, as when maintenance begins
			v.Look = to
		}
		if t.From != t.To {
			v.StatusChange = fmt.Sprintf("%s: %s, was %s", v.Title, strings.ToLower(to.Word), strings.ToLower(from.Word))
		}
		out = append(out, v)
	}
	return out
}

// flag is the flag of a country, made of Unicode's regional indicators for its two letters.
func flag(country string) string {
	if len(country) != 2 {
		return ""
	}
	var out strings.Builder
	for _, letter := range strings.ToUpper(country) {
		out.WriteRune(letter - 'A' + '🇦')
	}
	return out.String()
}
