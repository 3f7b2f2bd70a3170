package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// look is how a status or verdict appears: always a word, a colour and a shape together.
type look struct{ Class, Shape, Word string }

var statusLooks = map[mesh.Status]look{
	mesh.Operational:         {"up", "●", "Operational"},
	mesh.DegradedPerformance: {"degraded", "▲", "Degraded performance"},
	mesh.PartialOutage:       {"partial", "◆", "Partial outage"},
	mesh.MajorOutage:         {"down", "■", "Major outage"},
	mesh.UnderMaintenance:    {"degraded", "▲", "Under maintenance"},
	mesh.StatusUnknown:       {"unknown", "○", "Unknown"},
}

var verdictLooks = map[mesh.Verdict]look{
	mesh.Up:       {"up", "●", "Up"},
	mesh.Degraded: {"degraded", "▲", "Degraded"},
	mesh.Partial:  {"partial", "◆", "Partial"},
	mesh.Down:     {"down", "■", "Down"},
	mesh.Unknown:  {"unknown", "○", "Unknown"},
	mesh.Pending:  {"unknown", "○", "Waiting for the first looks"},
}

var voteLooks = map[mesh.Vote]look{
	mesh.OK: {"up", "●", "reaches it"}, mesh.Bad: {"down", "■", "does not"}, mesh.Abstain: {"unknown", "○", "abstains"},
}

type indexView struct {
	look
	Headline, Detail string
	CutOff           bool // half or more of the regions are silent: what is shown may be out of date
	Incidents        []incidentView
	Groups           []groupView
	Past             []dayView
	Events           []eventView
}

type groupView struct {
	Name  string
	Hosts []hostView
}

type hostView struct {
	look
	Name, City, Country, Flag, Role, Reach string
	Since                                  time.Time
	Checks                                 []checkView
}

type checkView struct {
	look
	Name, Note, Sentence string
	Since                time.Time
	Looking              bool
	Votes                []voteView
	Advisories           []string
}

type voteView struct {
	look
	City string
	Own  bool
}

type eventView struct {
	look
	Host, Check, Sentence, Turn string
	Began, Published            time.Time
}

// moment is what a page is made from: the catalog, the snapshot and who looks.
type moment struct {
	catalog  *catalog.Catalog
	snapshot *mesh.Snapshot
	audience Audience
}

// hosts are those that the audience may see, in the catalog's order.
func (m moment) hosts() []mesh.HostState {
	var out []mesh.HostState
	for _, h := range m.snapshot.Hosts {
		if m.sees(h.Public) && m.catalog.Host(mesh.Key(h.Name)) != nil {
			out = append(out, h)
		}
	}
	return out
}

func (m moment) sees(public bool) bool { return public || m.audience == Operators }

// host is the host of this key, where the audience may see it.
func (m moment) host(key string) (mesh.HostState, bool) {
	hosts := m.hosts()
	i := slices.IndexFunc(hosts, func(h mesh.HostState) bool { return mesh.Key(h.Name) == key })
	if i < 0 {
		return mesh.HostState{}, false
	}
	return hosts[i], true
}

func (m moment) index(events []mesh.Transition) indexView {
	v := indexView{Events: m.events(events), CutOff: len(m.snapshot.Alerts) > 0}
	var troubled []string
	worst := mesh.Operational
	hosts := m.hosts()
	for _, h := range hosts {
		name := m.catalog.Host(mesh.Key(h.Name)).Group
		if name == "" {
			name = "Servers"
		}
		i := slices.IndexFunc(v.Groups, func(g groupView) bool { return g.Name == name })
		if i < 0 {
			v.Groups, i = append(v.Groups, groupView{Name: name}), len(v.Groups)
		}
		v.Groups[i].Hosts = append(v.Groups[i].Hosts, m.hostView(h))
		if h.Status != mesh.Operational {
			troubled = append(troubled, h.Name)
		}
		if severity[h.Status] > severity[worst] {
			worst = h.Status
		}
	}
	v.look = statusLooks[worst]
	v.Headline, v.Detail = headline(worst, len(hosts), troubled)
	return v
}

// severity orders statuses for the one that stands for all: worse means up < partial < unknown < down.
var severity = map[mesh.Status]int{
	mesh.Operational: 0, mesh.UnderMaintenance: 1, mesh.DegradedPerformance: 2, mesh.PartialOutage: 3, mesh.StatusUnknown: 4, mesh.MajorOutage: 5,
}

func headline(worst mesh.Status, count int, troubled []string) (head, detail string) {
	switch {
	case count == 0:
		return "No systems are shown yet", "The catalog names none."
	case worst == mesh.Operational:
		return "All systems operational", fmt.Sprintf("%s, watched from every region.", counted(count, "system"))
	}
	head = map[mesh.Status]string{
		mesh.MajorOutage: "Major outage", mesh.PartialOutage: "Partial outage", mesh.DegradedPerformance: "Degraded performance",
		mesh.UnderMaintenance: "Under maintenance", mesh.StatusUnknown: "The status of some systems is unknown",
	}[worst]
	return head, fmt.Sprintf("%s of %s affected: %s.", counted(len(troubled), "system"), fmt.Sprint(count), strings.Join(troubled, ", "))
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (m moment) hostView(h mesh.HostState) hostView {
	config := m.catalog.Host(mesh.Key(h.Name))
	v := hostView{look: statusLooks[h.Status], Name: h.Name, City: m.city(h.Region), Role: config.Role, Since: h.Since}
	if r := m.catalog.Region(h.Region); r != nil {
		v.Country, v.Flag = r.Country, flag(r.Country)
	}
	var best mesh.Tally // of the check that most regions reach: from how many the host itself can be reached
	waiting := false
	for _, c := range h.Checks {
		v.Checks = append(v.Checks, m.checkView(c))
		waiting = waiting || c.Verdict == mesh.Pending
		if c.Verdict != mesh.Pending && (best.Voters == 0 || c.Tally.OK > best.OK) {
			best = c.Tally
		}
	}
	switch {
	case best.Voters > 0:
		v.Reach = reach(best)
	case waiting:
		v.Reach = "waiting for the first looks"
	default:
		v.Reach = "not watched"
	}
	return v
}

func reach(t mesh.Tally) string {
	return fmt.Sprintf("reachable from %d of %s", t.OK, counted(t.Voters, "region"))
}

func (m moment) checkView(c mesh.CheckState) checkView {
	v := checkView{
		look: verdictLooks[c.Verdict], Name: c.Name, Note: reach(c.Tally), Sentence: c.Sentence, Since: c.Since, Looking: c.Looking,
	}
	if c.Verdict == mesh.Down || c.Verdict == mesh.Partial || c.Verdict == mesh.Unknown {
		v.Note = strings.TrimSuffix(c.Sentence, ".")
	}
	for _, r := range c.Votes {
		vote := voteView{look: voteLooks[r.Vote], City: m.city(r.Region), Own: r.Own}
		switch {
		case r.Own:
			vote.Word += " (its own region, not counted)"
		case r.Why != "":
			vote.Word += " (" + m.why(r) + ")"
		}
		v.Votes = append(v.Votes, vote)
	}
	if m.audience == Operators {
		v.Advisories = c.Advisories
	}
	return v
}

// why is a vote's reason as it stands on a page: a phrase of the mesh's own for the public, free text for operators.
func (m moment) why(v mesh.RegionVote) string {
	if m.audience == Public && v.Why != "" {
		return "it " + v.Why
	}
	return v.Why
}

func (m moment) city(region string) string {
	if r := m.catalog.Region(region); r != nil && r.City != "" {
		return r.City
	}
	return region
}

// events tells transitions that people should know of, newest first: a check's first verdict is none.
func (m moment) events(transitions []mesh.Transition) []eventView {
	var out []eventView
	for _, t := range slices.Backward(transitions) {
		if !m.sees(t.Public) || t.Was == mesh.Pending {
			continue
		}
		e := eventView{look: verdictLooks[t.Verdict], Host: t.Host, Check: t.Check, Sentence: t.Sentence, Began: t.Began, Published: t.Published}
		if t.Check == "" {
			e.look = statusLooks[t.To]
		}
		if t.From != t.To {
			e.Turn = fmt.Sprintf("%s: %s, was %s", t.Host, strings.ToLower(statusLooks[t.To].Word), strings.ToLower(statusLooks[t.From].Word))
		}
		out = append(out, e)
	}
	return out
}

// flag is a country's flag from its two letters: Unicode's regional indicators.
func flag(country string) string {
	if len(country) != 2 {
		return ""
	}
	var out strings.Builder
	for _, letter := range strings.ToUpper(country) {
		out.WriteRune(letter - 'A' + 0x1F1E6)
	}
	return out.String()
}

type matrixView struct {
	Cities []string
	Rows   []matrixRow
}

type matrixRow struct {
	Host, Check string
	Cells       []matrixCell
}

type matrixCell struct {
	look
	Title string
}

func (m moment) matrix() matrixView {
	var v matrixView
	for _, r := range m.catalog.Regions {
		v.Cities = append(v.Cities, m.city(r.Name))
	}
	for _, h := range m.hosts() {
		for _, c := range h.Checks {
			row := matrixRow{Host: h.Name, Check: c.Name}
			for _, r := range m.catalog.Regions {
				row.Cells = append(row.Cells, m.cell(h, c, r.Name))
			}
			v.Rows = append(v.Rows, row)
		}
	}
	return v
}

func (m moment) cell(h mesh.HostState, c mesh.CheckState, region string) matrixCell {
	i := slices.IndexFunc(c.Votes, func(v mesh.RegionVote) bool { return v.Region == region })
	if i < 0 || h.Region == region {
		return matrixCell{look{"unknown", "·", "own"}, "its own region, which has no vote"}
	}
	v := c.Votes[i]
	cell := matrixCell{look: voteLooks[v.Vote], Title: m.why(v)}
	cell.Word = map[mesh.Vote]string{mesh.OK: "ok", mesh.Bad: "bad", mesh.Abstain: "abstains"}[v.Vote]
	return cell
}

// StatusLook is a status's class and shape, for other pages that are dressed alike.
func StatusLook(s mesh.Status) (class, shape string) {
	return statusLooks[s].Class, statusLooks[s].Shape
}

// VerdictLook is a verdict's class and shape.
func VerdictLook(v mesh.Verdict) (class, shape string) {
	return verdictLooks[v].Class, verdictLooks[v].Shape
}

// VoteLook is a vote's class and shape.
func VoteLook(v mesh.Vote) (class, shape string) { return voteLooks[v].Class, voteLooks[v].Shape }
