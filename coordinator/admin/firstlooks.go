package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// ErrNoAgents is returned by AwaitFirstLooks if no agent has ever connected.
var ErrNoAgents = errors.New("no agent has connected yet, so nothing is probed: `coordinator invite HOST`")

// FirstLook is what the regions saw of a check that is new or asks something else.
type FirstLook struct {
	Host, Check string
	Port        int // zero for checks without one
	Voters      int // all regions that vote on it
	OK          int // of these, those that reach it
	Bad         Sightings
	// Inconclusive are those whose probes show nothing of it, as when an agent has no route by its address family.
	Inconclusive Sightings
}

// Sightings are regions that saw the same kind of thing.
type Sightings struct {
	Regions int
	Why     string // their most frequent reason
	Same    int    // how many of them have it
}

// Missing is how many regions have not probed the check yet.
func (l FirstLook) Missing() int { return max(0, l.Voters-l.OK-l.Bad.Regions-l.Inconclusive.Regions) }

// newFirstLook returns what the regions saw of a check so far.
func newFirstLook(host string, port int, c *mesh.CheckState) FirstLook {
	l := FirstLook{Host: host, Check: c.Name, Port: port, Voters: c.Tally.Voters, OK: c.Tally.OK}
	bad, unclear := map[string]int{}, map[string]int{}
	for _, v := range c.Votes {
		switch {
		case v.Own:
		case v.Vote == mesh.Bad:
			l.Bad.add(v.Why, bad)
		case v.Vote == mesh.Abstain && slices.ContainsFunc(v.Edges, func(e mesh.EdgeState) bool {
			return e.Outcome == mesh.Inconclusive && !e.At.IsZero()
		}):
			l.Inconclusive.add(strings.TrimPrefix(v.Why, judge.InconclusivePrefix), unclear)
		}
	}
	return l
}

// add counts a region with its reason. If several are equally frequent, it is the one that reached that number first.
func (s *Sightings) add(why string, seen map[string]int) {
	s.Regions++
	if seen[why]++; seen[why] > s.Same {
		s.Why, s.Same = why, seen[why]
	}
}

const (
	firstLookSlack = 3 * time.Second // until every agent has the new catalog and its first observations have arrived
	firstLookMax   = 30 * time.Second
	firstLookPoll  = 200 * time.Millisecond
)

// AwaitFirstLooks waits until the applied catalog is in force, in place of the one with the revision before, and every
// region has probed what the changes made new. It calls report for each such check as soon as all regions have seen it.
// After the longest interval and timeout of these checks, at most half a minute, it reports the rest as far as it was
// seen.
func (c *Client) AwaitFirstLooks(
	ctx context.Context, before string, applied *catalog.Catalog, changes []catalog.Change, report func(FirstLook),
) error {
	var waiting []catalog.Change
	wait := firstLookSlack
	for _, change := range changes {
		if change.Look {
			check := applied.Host(mesh.Key(change.Host)).Check(change.Check)
			wait = max(wait, check.Interval+check.Timeout+firstLookSlack)
			waiting = append(waiting, change)
		}
	}
	deadline := time.Now().Add(min(wait, firstLookMax))
	for {
		state, err := c.State(ctx, time.Time{})
		if err != nil {
			return err
		}
		late := time.Now().After(deadline)
		// Its revision is not known here: the coordinator adds the ids of what was renamed, and digests of secrets.
		if state.Snapshot.Revision != before {
			if len(waiting) > 0 && !anyAgentHeard(state.Snapshot) {
				return ErrNoAgents
			}
			waiting = reportFirstLooks(state.Snapshot, applied, waiting, late, report)
			if len(waiting) == 0 {
				return nil
			}
		}
		if late {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(firstLookPoll):
		}
	}
}

func anyAgentHeard(s *mesh.Snapshot) bool {
	return slices.ContainsFunc(s.Vantages, func(v mesh.VantageState) bool { return !v.LastBatch.IsZero() })
}

// reportFirstLooks reports the checks that every region has probed, or all of them if it is late, and returns the
// others.
func reportFirstLooks(
	s *mesh.Snapshot, applied *catalog.Catalog, changes []catalog.Change, late bool, report func(FirstLook),
) (waiting []catalog.Change) {
	for _, change := range changes {
		seen := findCheck(s, change.Host, change.Check)
		if seen == nil || !late && seen.Tally.OK+seen.Tally.Bad < max(seen.Tally.Voters, 1) {
			waiting = append(waiting, change)
			continue
		}
		port := applied.Host(mesh.Key(change.Host)).Check(change.Check).Port()
		report(newFirstLook(change.Host, port, seen))
	}
	return waiting
}

// findCheck returns the check's state, or nil if the snapshot does not have it yet.
func findCheck(s *mesh.Snapshot, host, check string) *mesh.CheckState {
	for i := range s.Hosts {
		if mesh.Key(s.Hosts[i].Name) != mesh.Key(host) {
			continue
		}
		for k := range s.Hosts[i].Checks {
			if s.Hosts[i].Checks[k].Name == check {
				return &s.Hosts[i].Checks[k]
			}
		}
	}
	return nil
}
