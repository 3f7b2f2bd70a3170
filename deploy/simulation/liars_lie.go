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
	sayOK opinion = iota
	sayBad
	sayUnsure  // inconclusive
	sayNothing // no report, and no answer to a round
	sayMissed  // a first miss, whose retries never end
	sayTruth   // what an honest agent would report
	opinions   = int(sayTruth)
)

// moment is what a liar's choice of its next lie may depend on.
type moment struct {
	liar, liars int
	at          time.Duration // since the lies began
	look        int           // lies that this liar reported before
	round       int           // rounds of the target so far
	check       int
	random      *rand.Rand
}

// manner is how a lie is reported, within what the coordinator accepts from an agent.
type manner struct {
	restless  bool          // an unasked look at the target each second
	slow      bool          // answers come 2.8 s after the look began, when those of the honest agents are known
	ahead     bool          // looks began as late as the coordinator accepts: a second from now
	backdated time.Duration // looks began this long before they are reported
	unasked   bool          // answers name no round
	anyRound  bool          // answers name the largest round there can be
	withMiss  bool          // a first miss comes with each bad look
	epochs    bool          // each batch has a new epoch
	stale     bool          // batches name an unknown catalog revision
	noise     bool          // first misses of every check of every host, twice a second
}

// silence is how an agent as a whole abstains.
type silence uint8

const (
	speaks silence = iota
	isSilent
	lags
	hasNoAnchors
	replays // batches that waited from before the connection
)

// strategy is what colluding liars do. Every field is free for the attacker to choose; see strategies for those that are tried.
type strategy struct {
	name       string
	alternates bool
	opinion    func(moment) opinion // of the target
	others     float64              // the share of the other hosts that liars report as bad
	manner     manner
	silence    func(moment) silence // nil: speaks
	own        bool                 // the target's own agent is one of the liars
	deadRumour bool                 // liars' gossip holds the target dead
	allDead    bool                 // and every other host
	acks       bool                 // liars report that the target acknowledged their own gossip
	forgesAcks bool                 // honest agents receive forged acknowledgements of the target
	refuse     func(m moment, agent int) bool
}

// refuses reports whether a liar's own host refuses the probes of the agent.
func (s *strategy) refuses(m moment, agent int) bool { return s.refuse != nil && s.refuse(m, agent) }

func (w *liarWorld) moment(a *meshAgent) moment {
	return moment{a.liar, w.liars, w.now - liesBegin, a.looked, w.rounds, 0, w.random}
}

// lie advances a liar. It reports its probes at once, and those of the target as the strategy decides.
func (w *liarWorld) lie(a *meshAgent) {
	s := w.strategy
	second := w.now%time.Second == 0
	if s.manner.restless && second && a.index != 0 {
		for check := range w.catalog.Hosts[0].Checks {
			w.begin(a, 0, check, 0)
		}
	}
	a.flying = slices.DeleteFunc(a.flying, func(l *flyingLook) bool { return w.reportLie(a, l) })
	if s.manner.noise && w.now%(500*time.Millisecond) == 0 {
		w.addNoise(a)
	}
	if !a.urgent && w.now-a.lastSent < heartbeat {
		return
	}
	how := speaks
	if s.silence != nil {
		how = s.silence(w.moment(a))
	}
	if how == isSilent {
		a.ready, a.urgent = nil, false
		return
	}
	w.sendLies(a, how)
}

// lieAbout reports whether the liar reports the host, which is not the target, as bad.
func (w *liarWorld) lieAbout(a *meshAgent, host int) bool {
	return float64((host+len(w.keys)-a.index)%len(w.keys)) <= w.strategy.others*float64(len(w.keys)-1)
}

// reportLie reports whether the look is over.
func (w *liarWorld) reportLie(a *meshAgent, l *flyingLook) bool {
	s := w.strategy
	says := sayTruth
	if l.host != 0 && s.others > 0 && w.lieAbout(a, l.host) {
		says = sayBad
	}
	if l.host == 0 {
		if s.manner.slow && w.now-l.began < 2800*time.Millisecond {
			return false
		}
		m := w.moment(a)
		m.check = l.check
		says = s.opinion(m)
		a.looked++
	}
	if says == sayTruth {
		return w.report(a, l)
	}
	w.tell(a, l, says)
	return true
}

// tell reports the opinion in the strategy's manner.
func (w *liarWorld) tell(a *meshAgent, l *flyingLook, says opinion) {
	outcome := map[opinion]mesh.Outcome{
		sayOK: mesh.Reachable, sayBad: mesh.Unreachable, sayUnsure: mesh.Inconclusive, sayMissed: mesh.Unreachable,
	}[says]
	if says == sayNothing {
		return
	}
	how := w.strategy.manner
	began, took, round := l.began, min(w.now-l.began, answerTook), l.round
	switch {
	case how.ahead:
		began, took = w.now+950*time.Millisecond, 0
	case how.backdated > 0:
		began, took = w.now-how.backdated, min(how.backdated, wire.ElapsedMax)
	}
	if how.unasked {
		round = 0
	}
	if how.anyRound {
		round = 1<<64 - 1
	}
	o := w.observation(l.host, l.check, began, took, outcome, round)
	o.RTT = min(o.RTT, took)
	miss := o
	miss.Stage, miss.Elapsed = mesh.Missed, 0
	if says == sayMissed || says == sayBad && how.withMiss {
		a.ready = append(a.ready, miss)
	}
	if says != sayMissed {
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
				a.ready = append(a.ready, miss, w.observation(host, check, w.now+time.Millisecond, 0, mesh.Reachable, 0))
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
		if host != a.index && (host == 0 && s.deadRumour || s.allDead) {
			b.Gossip.Dead = append(b.Gossip.Dead, mesh.GossipEntry{Host: w.keys[host], At: w.at()})
		}
	}
	w.give(judge.Input{Batch: b})
}
