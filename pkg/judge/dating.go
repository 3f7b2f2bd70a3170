package judge

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/status"
)

// voteRun is a region's vote and since when it has voted so without a break.
type voteRun struct {
	ballot *ballot
	vote   mesh.Vote
	since  time.Time
}

// beginning dates the verdict that the check is about to get: when its cause began, by the probes that saw it. Each
// vote is dated by the run of probes behind it. Going back from now, the region that changed its vote last is given its
// former vote, then the one before it, and so on: the change without which the votes would not show the verdict
// completed it. The cause began with the first probe of the same kind up to one interval before that, since one
// interval is the time in which every vantage probes once.
//
// Regions whose votes did not change do not affect the beginning: when three of seven regions reach a host again, the
// four that never lost it do not date the recovery.
func beginning(env *environment, c *check, verdict mesh.Verdict) time.Time {
	if verdict == mesh.Unknown || verdict == mesh.Pending {
		return env.now
	}
	if c.verdict == mesh.Unknown && !broken(verdict) {
		return firstFresh(env, c)
	}
	if works(c.verdict) && works(verdict) {
		return gradeSince(env, c, verdict)
	}
	runs := voteRuns(env, c)
	last, ok := completedBy(env, c, verdict, runs)
	if !ok {
		return env.now
	}
	first, earliest := last.since, last.since.Add(-c.config.Interval)
	if c.config.SharesServer() && last.vote == mesh.Bad {
		earliest = latest(earliest, lastSuccess(runs, last))
	}
	for _, run := range runs {
		if run.vote != last.vote {
			continue
		}
		for _, e := range run.ballot.edges {
			if at := e.runSince(env, outcomeOf(run.vote)); !at.IsZero() && at.Before(first) && !at.Before(earliest) {
				first = at
			}
		}
	}
	if c.verdict != mesh.Unknown && c.verdict != mesh.Pending && first.Before(c.since) {
		return c.since // the verdict before held until then at least
	}
	return first
}

// lastSuccess returns when the latest probe began that reached the check before the last of these runs, from a region
// that votes bad now. Agents that share a long interval may have seen it work after another one's failure.
func lastSuccess(runs []voteRun, last voteRun) (at time.Time) {
	for _, run := range runs {
		if run.vote != mesh.Bad {
			continue
		}
		for _, e := range run.ballot.edges {
			if good := e.history.lastGood; good.Before(last.since) {
				at = latest(at, good)
			}
		}
	}
	return at
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// completedBy finds the vote that completed the verdict; found is false if no region votes.
func completedBy(env *environment, c *check, verdict mesh.Verdict, runs []voteRun) (last voteRun, found bool) {
	regions, ok, bad := c.tally.Regions, c.tally.OK, c.tally.Bad
	// A verdict may be reached before every region has answered its round. Before the changes, those regions voted as
	// well.
	waitingOK, waitingBad := waitingRegions(env, c)
	ok, bad = ok+waitingOK, bad+waitingBad
	for _, run := range runs {
		if run.vote == mesh.OK {
			ok, bad = ok-1, bad+1
		} else {
			ok, bad = ok+1, bad-1
		}
		if !shows(env, c, verdict, regions, ok, bad) {
			return run, true
		}
		last, found = run, true
	}
	return last, found
}

// waitingRegions counts the regions that abstain only because their answer to a round is missing, by what they last
// saw.
func waitingRegions(env *environment, c *check) (ok, bad int) {
	for _, b := range c.regionsThatVote(env, mesh.Abstain) {
		good, failed := 0, 0
		for _, e := range b.edges {
			switch {
			case !e.mayRequest(env) || e.unseen() || !e.fresh(env):
			case e.history.run == mesh.Unreachable:
				failed++
			case e.history.run == mesh.Reachable:
				good++
			}
		}
		switch majority(good, failed) {
		case mesh.OK:
			ok++
		case mesh.Bad:
			bad++
		case mesh.Abstain:
		}
	}
	return ok, bad
}

// shows reports whether votes show the verdict, and, if the check is down, that it may leave down.
func shows(env *environment, c *check, verdict mesh.Verdict, regions, ok, bad int) bool {
	if c.verdict == mesh.Down && verdict != mesh.Down && !status.EnoughToRecover(env.rule, ok, ok+bad) {
		return false
	}
	shown := quorum.Shows(env.rule, regions, ok, bad)
	return shown == verdict || shown == mesh.Up && verdict == mesh.Degraded
}

// voteRuns returns the regions that vote ok or bad, the one that changed its vote last first.
func voteRuns(env *environment, c *check) []voteRun {
	var runs []voteRun
	for _, vote := range []mesh.Vote{mesh.OK, mesh.Bad} {
		for _, b := range c.regionsThatVote(env, vote) {
			runs = append(runs, voteRun{b, vote, votesSince(env, c, b, vote)})
		}
	}
	slices.SortStableFunc(runs, func(a, b voteRun) int { return b.since.Compare(a.since) })
	return runs
}

// votesSince returns since when a strict majority of the region's vantages has cast this vote.
func votesSince(env *environment, c *check, b *ballot, vote mesh.Vote) time.Time {
	var agreed []time.Time // since when each vantage with this vote has cast it
	voters := 0
	for edges := range b.byVantage() {
		switch v, _ := vantageVote(env, c, edges, asHeard); v {
		case vote:
			agreed = append(agreed, vantageSince(env, edges, vote))
			voters++
		case mesh.OK, mesh.Bad:
			voters++
		case mesh.Abstain:
		}
	}
	slices.SortFunc(agreed, time.Time.Compare)
	return agreed[voters/2] // the vantage that completed the majority
}

// vantageSince returns since when a vantage has cast this vote: bad since its first family failed, ok since its last
// family works. A vote that later history contradicts has no run of probes behind it; then its oldest probe dates it.
func vantageSince(env *environment, edges []*edge, vote mesh.Vote) time.Time {
	var since time.Time
	for _, e := range edges {
		at := e.runSince(env, outcomeOf(vote))
		switch {
		case at.IsZero(), e.leftOut(env):
		case since.IsZero(), vote == mesh.Bad && at.Before(since), vote == mesh.OK && at.After(since):
			since = at
		}
	}
	if !since.IsZero() {
		return since
	}
	oldest := env.now
	for _, e := range edges {
		if v, _ := e.vote(env); v == vote && e.began.Before(oldest) {
			oldest = e.began
		}
	}
	return oldest
}

func outcomeOf(vote mesh.Vote) mesh.Outcome {
	if vote == mesh.Bad {
		return mesh.Unreachable
	}
	return mesh.Reachable
}

// firstFresh returns when the earliest of the probes that now vote ok began. After unknown there is no evidence that
// the host was well any earlier, however long the runs are that these probes continue.
func firstFresh(env *environment, c *check) time.Time {
	first := env.now
	for _, b := range c.regionsThatVote(env, mesh.OK) {
		for _, e := range b.edges {
			if vote, _ := e.vote(env); vote == mesh.OK && e.began.Before(first) {
				first = e.began
			}
		}
	}
	if first.Before(c.since) {
		return c.since
	}
	return first
}

// works reports whether a check with this verdict is reached, however slowly.
func works(v mesh.Verdict) bool { return v == mesh.Up || v == mesh.Degraded }

// gradeSince dates the change from up to degraded or back. The runs of good probes do not show it, since slow ones are
// good too: degraded began with the first of the latest probes that are over an objective, and ended with the last of
// those that are not.
func gradeSince(env *environment, c *check, verdict mesh.Verdict) time.Time {
	var first, last time.Time
	for _, b := range c.regionsThatVote(env, mesh.OK) {
		for _, e := range b.edges {
			if vote, _ := e.vote(env); vote != mesh.OK || e.over(c.config.DegradedReason()) != (verdict == mesh.Degraded) {
				continue
			}
			if first.IsZero() || e.began.Before(first) {
				first = e.began
			}
			last = latest(last, e.began)
		}
	}
	switch {
	case first.IsZero():
		return env.now
	case verdict == mesh.Up:
		first = last
	}
	return latest(first, c.since)
}
