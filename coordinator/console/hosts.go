package console

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// hostView is one host: its checks, their votes, and what changed.
type hostView struct {
	web.Look
	Name, Region, City string
	Sentence           string // of the whole host, if no item has it
	Items              []item // what fails, as the overview has it
	Explain            string // the command
	Public             bool
	Since              time.Time
	Checks             []checkView
	Changes            []changeRow
}

// checkView is one check with its votes.
type checkView struct {
	web.Look
	Host, Name, Kind, Verdict, Sentence, Rule string
	Waits                                     string // why the votes differ from the verdict
	Since                                     time.Time
	Tally                                     mesh.Tally
	RoundOpen                                 bool
	Advisories                                []string
	Votes                                     []voteRow
}

// voteRow is one vantage's latest result on a check, and what it counts for. A region that the check leaves out has a
// row without a vantage.
type voteRow struct {
	web.Look
	Region, City, Vantage, Name, Family, Outcome, Why string
	Own, Filtered                                     bool // Filtered: the ping alone is lost
	RegionVote                                        string
	RTT                                               time.Duration
	At, Since                                         time.Time
}

// hostPage is the page of a host, now or at a moment.
func hostPage(s *console, r request) (view, error) {
	h, err := r.host()
	if err != nil {
		return view{}, err
	}
	v, err := newHostView(s, r, h)
	if err != nil {
		return view{}, err
	}
	votes := table{name: "votes", columns: voteColumns}
	for i := range h.Checks {
		c := r.newCheckView(h, &h.Checks[i])
		v.Checks = append(v.Checks, c)
		votes.rows = append(votes.rows, c.rows()...)
	}
	slices.SortStableFunc(v.Checks, func(a, b checkView) int {
		return mesh.Verdict(b.Verdict).Severity() - mesh.Verdict(a.Verdict).Severity()
	})
	if v.Changes, err = changesOf(s, r, h.Name, ""); err != nil {
		return view{}, err
	}
	moment, err := s.newMomentView(r, h.Name, "")
	return view{
		title: h.Name, template: "host", section: "/", data: v, moment: moment,
		tables: []table{votes, changeTable(v.Changes)},
	}, err
}

// newHostView describes a host without its checks. What fails comes first, as in the overview: the sentence of a host
// is that of its worst check, and does not name it.
func newHostView(s *console, r request, h *mesh.HostState) (hostView, error) {
	v := hostView{
		Look: web.StatusLook(h.Status), Name: h.Name, Region: h.Region, City: sentence.City(r.catalog, h.Region),
		Sentence: h.Sentence, Public: h.Public, Since: h.Since,
	}
	incidents, err := openIncidents(s, r)
	if err != nil {
		return v, err
	}
	v.Items = r.hostItems(h, incidentsByHost(incidents))
	if slices.ContainsFunc(v.Items, func(i item) bool { return strings.Contains(i.Detail, h.Sentence) }) {
		v.Sentence = ""
	}
	r.finish(v.Items)
	v.Explain = command.AsCalledHere(r.explainCommand(h.Name))
	return v, nil
}

// host returns the host of the address, however it is capitalised.
func (r request) host() (*mesh.HostState, error) {
	name := r.PathValue("host")
	key := mesh.Key(name)
	if named := hostNamed(r, name); named != nil {
		key = named.Key()
	}
	i := slices.IndexFunc(r.snapshot.Hosts, func(h mesh.HostState) bool { return mesh.Key(h.Name) == key })
	if i >= 0 {
		return &r.snapshot.Hosts[i], nil
	}
	return nil, web.Errorf(http.StatusNotFound, "%s has no host %s.", catalogThen(r), name)
}

// hostAndCheck returns the host and the check of the address, the check by its name or by its spelling in the addresses
// of the site.
func (r request) hostAndCheck() (*mesh.HostState, *mesh.CheckState, error) {
	h, err := r.host()
	if err != nil {
		return nil, nil, err
	}
	name, former, slug := r.PathValue("check"), "", web.Slug(r.PathValue("check"))
	if config := r.catalog.Host(mesh.Key(h.Name)); config != nil {
		if c := checkNamed(r, config, name); c != nil {
			former = c.Name
		}
	}
	for _, same := range []func(mesh.CheckState) bool{
		func(c mesh.CheckState) bool { return c.Name == name },
		func(c mesh.CheckState) bool { return c.Name == former },
		func(c mesh.CheckState) bool { return web.Slug(c.Name) == slug }, // "TCP 25" and "tcp-25" have the same
	} {
		if i := slices.IndexFunc(h.Checks, same); i >= 0 {
			return h, &h.Checks[i], nil
		}
	}
	return nil, nil, web.Errorf(http.StatusNotFound, "%s has no check %s.", h.Name, name)
}

// names returns the vantages' names by key.
func (r request) names() map[string]string {
	out := map[string]string{}
	for _, v := range r.snapshot.Vantages {
		out[mesh.Key(v.Name)] = v.Name
	}
	return out
}

func (r request) newCheckView(h *mesh.HostState, c *mesh.CheckState) checkView {
	names := r.names()
	v := checkView{
		Look: web.CheckLook(*c), Host: h.Name, Name: c.Name, Kind: c.Kind, Verdict: string(c.Verdict),
		Sentence: c.Sentence, Rule: quorum.VerdictInWords(c.Verdict, c.Rule, r.catalog.Rule), Since: c.Since, Tally: c.Tally,
		RoundOpen: c.RoundOpen, Advisories: c.Advisories,
	}
	if config := r.catalog.Host(mesh.Key(h.Name)); config != nil {
		v.Waits = sentence.Waiting(r.catalog.Rule, config.Check(c.Name), *c)
	}
	for _, region := range c.Votes {
		for _, e := range region.Edges {
			row := voteRow{
				Look: web.VoteLook(e.Vote), Region: region.Region, City: sentence.City(r.catalog, region.Region),
				Own: region.Own, RegionVote: region.Vote.String(),
				Vantage: e.Vantage, Name: cmp.Or(names[e.Vantage], e.Vantage), Family: e.Family.Title(),
				Filtered: filtered(e), Outcome: e.Outcome.String(), Why: cmp.Or(e.Why, e.Reason), At: e.At, Since: e.Since,
			}
			if strings.HasPrefix(e.Reason, mesh.ReasonTemporary) {
				row.Outcome = "come back later" // a quick answer is not called slow
			}
			if e.HasTime() {
				row.RTT = e.RTT.Round(100 * time.Microsecond)
			}
			v.Votes = append(v.Votes, row)
		}
	}
	for _, region := range c.Except {
		v.Votes = append(v.Votes, voteRow{
			Look: web.VoteLook(mesh.Abstain), Region: region, City: sentence.City(r.catalog, region), RegionVote: "none",
			Outcome: "not asked", Why: "except of the check leaves the region out",
		})
	}
	return v
}

var voteColumns = []string{
	"host", "check", "verdict", "region", "own_region", "region_vote", "vantage", "family", "outcome", "vote",
	"rtt_seconds", "why", "at", "since",
}

func (c checkView) rows() (out [][]any) {
	for _, v := range c.Votes {
		var rtt any
		if v.RTT > 0 {
			rtt = v.RTT
		}
		out = append(out, []any{
			c.Host, c.Name, c.Verdict, v.Region, v.Own, v.RegionVote, v.Name, v.Family, v.Outcome, v.Word, rtt, v.Why,
			v.At, v.Since,
		})
	}
	return out
}
