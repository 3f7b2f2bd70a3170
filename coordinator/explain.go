package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/sentence"
)

const explainLong = `
Explain prints why each check of a host has its verdict: the rule that decided it, the vote of every
region, and the observations behind each vote with their times. For a check that is not up, it draws
the probes of each vantage over time, and lists every step that led to the verdict: first misses,
retries, the round, the votes, and the rule that decided. It also names the hosts that failed
together with it, for the same regions, and the last change of the catalog that affected the host.
Use it to answer "why is it down?", and --at for "why was it down at 02:31?".`

func newExplainCommand() *cobra.Command {
	return query{
		use: "explain HOST", short: "Explain a host's verdicts, vote by vote", long: explainLong,
		example: "  coordinator explain NC036\n  coordinator explain NC036 --at 02:31",
		args:    cobra.ExactArgs(1), at: true,
		value: func(ctx context.Context, client *admin.Client, s admin.State, args []string) (any, error) {
			return explain(ctx, client, s, args[0])
		},
		text: func(out io.Writer, s admin.State, value any, width int) error {
			var text strings.Builder
			value.(explanation).write(command.Printable(&text), s.Catalog.Rule)
			_, err := io.WriteString(out, wrap(text.String(), width))
			return err
		},
	}.command()
}

// explanation is the judge's state of a host, what failed with it, and the latest change that affected it. It embeds
// the state so that --json prints the fields of both as one object.
type explanation struct {
	mesh.HostState
	At         time.Time      `json:"at"`
	FellWith   []string       `json:"fell_with"` // hosts that failed within seconds of it, for the same voters
	LastChange *ledger.Change `json:"last_change,omitempty"`
	checks     []catalog.Check
	catalog    *catalog.Catalog // for the names of cities and hosts; may be nil
	// Evidence is what led to the verdict of each check that is not up.
	Evidence []evidence `json:"evidence,omitempty"`
}

// explain collects the explanation of a host at the time of the state.
func explain(ctx context.Context, client *admin.Client, s admin.State, name string) (e explanation, err error) {
	present, err := client.State(ctx, time.Time{})
	if err != nil {
		return e, err
	}
	host := catalog.HostThen(s.Catalog, present.Catalog, name)
	if host != nil {
		name, e.checks = host.Name, host.Checks
	}
	if e.HostState, err = findHost(s.Snapshot, name); err != nil {
		return e, err
	}
	e.catalog = s.Catalog
	e.At, e.FellWith = s.Snapshot.At, fellWith(s.Snapshot, e.HostState)
	if e.LastChange, err = client.LastChange(ctx, mesh.Key(name), s.Snapshot.At); err != nil {
		return e, err
	}
	if host == nil {
		return e, nil
	}
	key := host.Key() // the ledger knows the host by its present name
	if now := present.Catalog.HostByID(host.Identity()); now != nil {
		key = now.Key()
	}
	all, err := client.Transitions(ctx, key, transitionsSought)
	e.Evidence = collectEvidence(ctx, client, e, host, all)
	return e, err
}

// config returns a check in the catalog; nil if it has none of the name.
func (e explanation) config(check string) *catalog.Check {
	if i := slices.IndexFunc(e.checks, func(c catalog.Check) bool { return c.Name == check }); i >= 0 {
		return &e.checks[i]
	}
	return nil
}

// fellWith lists the other hosts that have a check with the same cause as one of the host's checks.
func fellWith(s *mesh.Snapshot, h mesh.HostState) []string {
	causes, out := map[string]bool{}, []string{}
	for _, c := range h.Checks {
		causes[c.Cause] = c.Cause != ""
	}
	for _, o := range s.Hosts {
		if o.Name != h.Name && slices.ContainsFunc(o.Checks, func(c mesh.CheckState) bool { return causes[c.Cause] }) {
			out = append(out, o.Name)
		}
	}
	return out
}

// findHost finds a host by its name, however it is capitalised.
func findHost(s *mesh.Snapshot, name string) (mesh.HostState, error) {
	for _, h := range s.Hosts {
		if mesh.Key(h.Name) == mesh.Key(name) {
			return h, nil
		}
	}
	return mesh.HostState{}, fmt.Errorf("the catalog has no host %q", name)
}

// write prints the explanation from the general to the particular: the host, its checks, the regions, the observations.
func (e explanation) write(out io.Writer, rule catalog.Rule) {
	fmt.Fprintf(out, "%s in %s: %s since %s, as of %s\n",
		e.Name, sentence.City(e.catalog, e.Region), strings.ReplaceAll(string(e.Status), "_", " "), formatTime(e.Since),
		formatTime(e.At))
	if len(e.FellWith) > 0 {
		fmt.Fprintf(out, "failed together, for the same regions: %s\n", strings.Join(e.FellWith, ", "))
	}
	if c := e.LastChange; c != nil {
		fmt.Fprintf(out, "last catalog change that affected it: %s, revision %s from %s\n",
			formatTime(c.At), c.Revision, c.Source)
		for _, change := range c.Changes {
			fmt.Fprintf(out, "  %s\n", change)
		}
	}
	for _, c := range e.Checks {
		e.writeCheck(out, rule, c)
	}
}

// writeCheck prints the verdict of one check, the votes, and what led to it.
func (e explanation) writeCheck(out io.Writer, rule catalog.Rule, c mesh.CheckState) {
	fmt.Fprintf(out, "\n%s (%s): %s, since %s\n  %s\n  rule: %s\n",
		c.Name, c.Kind, c.Verdict, formatTime(c.Since), c.Sentence, quorum.VerdictInWords(c.Verdict, c.Rule, rule))
	if n := c.Tally; n.Regions > 0 {
		fmt.Fprintf(out, "  votes: %d bad and %d ok of %s, of which %d can vote; a host's own region never votes\n",
			n.Bad, n.OK, mesh.Count(n.Regions, "region"), n.Voters)
	}
	if why := sentence.Waiting(rule, e.config(c.Name), c); why != "" {
		fmt.Fprintf(out, "  %s\n", why)
	}
	for _, a := range c.Advisories {
		fmt.Fprintf(out, "  advisory: %s\n", a)
	}
	for _, v := range c.Votes {
		explainVote(out, withNames(e.catalog, v))
	}
	for _, region := range c.Except {
		fmt.Fprintf(out, "  %s has no vote: except of the check leaves the region out\n", sentence.City(e.catalog, region))
	}
	for _, found := range e.Evidence {
		if found.Check == c.Name {
			found.write(out, rule)
		}
	}
}

// explainVote prints a region's vote and, for each of its edges, the latest observation behind it.
func explainVote(out io.Writer, v mesh.RegionVote) {
	votes, own := "votes "+v.Vote.String(), ""
	if v.Vote == mesh.Abstain {
		votes = "abstains"
	}
	if v.Own {
		own = " (the host's own region: not counted)"
	}
	fmt.Fprintf(out, "  %s %s%s\n", v.Region, votes, own)
	for _, e := range v.Edges {
		fmt.Fprintf(out, "    %s by %s: %s", e.Vantage, e.Family, e.Vote)
		switch {
		case e.Why != "":
			fmt.Fprintf(out, ", %s", e.Why)
		case e.Reason != "":
			fmt.Fprintf(out, ", %s", e.Reason)
		}
		if e.Vote == mesh.OK && e.HasTime() {
			fmt.Fprintf(out, ", %s", mesh.Span(e.RTT))
		}
		switch {
		case e.Address == "": // the catalog names an address, so there was none to choose
		case e.Outcome.Good():
			fmt.Fprintf(out, ", by %s", e.Address)
		default:
			fmt.Fprintf(out, ", tried %s", e.Address)
		}
		fmt.Fprintf(out, "; probed %s", formatTime(e.At))
		// The latest probe is the last good or the last bad one itself: it is printed once.
		if !e.Outcome.Good() && !e.LastGood.Equal(e.At) {
			fmt.Fprintf(out, ", last good %s", formatTime(e.LastGood))
		}
		if e.Outcome != mesh.Unreachable && !e.LastBad.Equal(e.At) {
			fmt.Fprintf(out, ", last bad %s", formatTime(e.LastBad))
		}
		fmt.Fprintln(out)
	}
}

// withNames returns the vote with the names of its city and hosts, as pages show them.
func withNames(c *catalog.Catalog, v mesh.RegionVote) mesh.RegionVote {
	v.Region, v.Edges = sentence.City(c, v.Region), slices.Clone(v.Edges)
	for i := range v.Edges {
		v.Edges[i].Vantage = hostName(c, v.Edges[i].Vantage)
	}
	return v
}

// hostName returns the name of a host, or the key where the catalog does not have it.
func hostName(c *catalog.Catalog, key string) string {
	if c != nil {
		if h := c.Host(key); h != nil {
			return h.Name
		}
	}
	return key
}
