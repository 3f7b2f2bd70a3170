package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// opinion is what a liar reports of a check instead of the truth.
type opinion uint8

const (
	reportOK opinion = iota
	reportBad
	reportInconclusive
	reportNothing // no report, and no answer to a round
	reportMiss    // a first miss, without the result of the retries
	reportTruth   // the observation of an honest agent
	opinions      = int(reportTruth)
)

// moment is the information on which a liar bases its next lie.
type moment struct {
	liar, liars int
	at          time.Duration // since the lies began
	lies        int           // number of lies that this liar reported before
	round       int           // number of rounds of the target so far
	check       int
	random      *rand.Rand
}

// manner is how liars report, within what the coordinator accepts from an agent.
type manner struct {
	unrequested  bool          // an observation of the target each second, outside schedule and rounds
	slow         bool          // answers come 2.8 s after the probe, when those of the honest agents are known
	ahead        bool          // probes are dated as late as the coordinator accepts: a second from now
	backdated    time.Duration // probes are dated this long before they are reported
	withoutRound bool          // answers name no round
	anyRound     bool          // answers name the largest possible round
	withMiss     bool          // a first miss precedes each bad observation
	epochs       bool          // each batch has a new epoch
	stale        bool          // batches name an unknown catalog revision
	noise        bool          // twice a second, first misses of every check of the hosts that addNoise selects
}

// silence is how an agent abstains from all votes.
type silence uint8

const (
	reports silence = iota
	isSilent
	lags
	hasNoAnchors
	replays // its batches claim to have waited since before it connected
)

// strategy is the behaviour of colluding liars. An attacker may set every field freely; strategies lists what is tried.
type strategy struct {
	name       string
	alternates bool
	opinion    func(moment) opinion // about the target
	others     float64              // share of the other hosts that liars report as bad
	manner     manner
	silence    func(moment) silence // nil: none
	own        bool                 // the target's own agent is one of the liars
	targetDead bool                 // the liars' gossip declares the target dead
	allDead    bool                 // the liars' gossip declares every other host dead
	acks       bool                 // liars report that the target acknowledged their own gossip
	forgesAcks bool                 // honest agents receive forged acknowledgements of the target
	refuse     func(m moment, agent int) bool
}

// refuses reports whether a liar's own host refuses the agent's probes.
func (s *strategy) refuses(m moment, agent int) bool { return s.refuse != nil && s.refuse(m, agent) }

func (w *liarWorld) moment(a *meshAgent) moment {
	return moment{a.liar, w.liars, w.now - liesBegin, a.lies, w.rounds, 0, w.random}
}

// lie advances a liar: it creates its observations and publishes a batch when one is due.
func (w *liarWorld) lie(a *meshAgent) {
	s := w.strategy
	second := w.now%time.Second == 0
	if s.manner.unrequested && second && a.index != 0 {
		for check := range w.catalog.Hosts[0].Checks {
			w.begin(a, 0, check, 0)
		}
	}
	a.pending = slices.DeleteFunc(a.pending, func(l *pendingProbe) bool { return w.reportLie(a, l) })
	if s.manner.noise && w.now%(500*time.Millisecond) == 0 {
		w.addNoise(a)
	}
	if !a.urgent && w.now-a.lastSent < heartbeat {
		return
	}
	how := reports
	if s.silence != nil {
		how = s.silence(w.moment(a))
	}
	if how == isSilent {
		a.ready, a.urgent = nil, false
		return
	}
	w.sendLies(a, how)
}

// lieAbout reports whether the liar reports the host as bad. The host is not the target. Each liar picks others from
// its own position on, so that colluding liars do not all accuse the same ones.
func (w *liarWorld) lieAbout(a *meshAgent, host int) bool {
	return float64((host+len(w.keys)-a.index)%len(w.keys)) <= w.strategy.others*float64(len(w.keys)-1)
}

// reportLie reports the probe in place of the truth, and returns whether the probe is finished.
func (w *liarWorld) reportLie(a *meshAgent, l *pendingProbe) bool {
	s := w.strategy
	claim := reportTruth
	if l.host != 0 && s.others > 0 && w.lieAbout(a, l.host) {
		claim = reportBad
	}
	if l.host == 0 {
		if s.manner.slow && w.now-l.began < 2800*time.Millisecond {
			return false
		}
		m := w.moment(a)
		m.check = l.check
		claim = s.opinion(m)
		a.lies++
	}
	if claim == reportTruth {
		return w.report(a, l)
	}
	w.reportClaim(a, l, claim)
	return true
}

// reportClaim adds an observation with the claimed outcome, in the strategy's manner.
func (w *liarWorld) reportClaim(a *meshAgent, l *pendingProbe, claim opinion) {
	outcome := map[opinion]mesh.Outcome{
		reportOK: mesh.Reachable, reportBad: mesh.Unreachable, reportInconclusive: mesh.Inconclusive,
		reportMiss: mesh.Unreachable,
	}[claim]
	if claim == reportNothing {
		return
	}
	how := w.strategy.manner
	began, took, round := l.began, min(w.now-l.began, answerAfter), l.round
	switch {
	case how.ahead:
		began, took = w.now+950*time.Millisecond, 0
	case how.backdated > 0:
		began, took = w.now-how.backdated, min(how.backdated, wire.ElapsedMax)
	}
	if how.withoutRound {
		round = 0
	}
	if how.anyRound {
		round = 1<<64 - 1
	}
	o := w.observation(l.host, l.check, began, took, outcome, round)
	o.RTT = min(o.RTT, took)
	miss := o
	miss.Stage, miss.Elapsed = mesh.Missed, 0
	if claim == reportMiss || claim == reportBad && how.withMiss {
		a.ready = append(a.ready, miss)
	}
	if claim != reportMiss {
		a.ready = append(a.ready, o)
	}
	a.urgent = true
}

// addNoise makes the liar request rounds of every host but its own and the target, to use up the budget of rounds.
func (w *liarWorld) addNoise(a *meshAgent) {
	for host := range w.keys {
		for check := range w.catalog.Hosts[host].Checks {
			if host != a.index && host != 0 {
				miss := w.observation(host, check, w.now, 0, mesh.Unreachable, 0)
				miss.Stage = mesh.Missed
				success := w.observation(host, check, w.now+time.Millisecond, 0, mesh.Reachable, 0)
				a.ready = append(a.ready, miss, success)
			}
		}
	}
	a.urgent = true
}

// sendLies publishes the liar's next batch.
func (w *liarWorld) sendLies(a *meshAgent, how silence) {
	s := w.strategy
	if s.manner.epochs {
		a.epoch++
	}
	b := w.batch(a)
	if s.manner.stale {
		b.Revision = "000000000000"
	}
	switch how {
	case lags:
		b.Lag = time.Hour
	case hasNoAnchors:
		b.AnchorsFail = true
	case replays:
		b.Connected = w.at().Add(time.Second)
	}
	if s.acks && a.index != 0 {
		b.Gossip.Acks = []mesh.GossipEntry{{Host: w.keys[0], At: w.at()}}
	}
	for host := range w.keys {
		if host != a.index && (host == 0 && s.targetDead || s.allDead) {
			b.Gossip.Dead = append(b.Gossip.Dead, mesh.GossipEntry{Host: w.keys[host], At: w.at()})
		}
	}
	w.deliver(judge.Input{Batch: b})
}
