package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// NotifyWithin is how old an alert may be when its first message is sent. A coordinator that was off for longer sends
// nothing about what is history by then.
const NotifyWithin = 24 * time.Hour

// Message is one message that is due: a step of an alert, for one channel.
type Message struct {
	ID      string // the same each time that this step of the alert is sent to this channel
	Channel string
	Step    string
	Alert   Alert
	// Of an incident: the hosts that the channel is notified of, as its routes match them, and how severe that is.
	Hosts    int
	Severity catalog.Severity
	// Fallback is set for a message that other channels failed to send.
	Fallback bool
	// Announced is set for a message to an account that the public follows; Alert then is its entry.
	Announced *Announcement
}

// The steps of an alert. Repeats and escalations have a number.
const (
	stepOpened    = "opened"
	stepGrown     = "grown" // more hosts became part of the incident, or it became worse
	stepRepeated  = "repeated"
	stepEscalated = "escalated"
	stepOver      = "over"
)

// State is what is known about the messages of before.
type State struct {
	sent     map[string]mark   // by message id
	steps    map[string][]step // the messages that were sent, by alert and round
	acked    map[string]ledger.NotifyEvent
	Silences []ledger.Silence
	// Failing are the channels that fail now.
	Failing map[string]bool
	// Since is when notifications began: nothing is sent about what was over before.
	Since time.Time
	begun map[string]time.Time // by account: when it was first in the catalog
}

// mark is when a message was sent, and about which alert.
type mark struct {
	alert string
	at    time.Time
}

// step is a message that was sent.
type step struct {
	mark
	name, channel string
	hosts         int // that it was about; zero if that is not known
	severity      catalog.Severity
}

const (
	// growsFor is how long an incident must have stayed the same for a message that it has grown: hosts that fail
	// together are published one after another.
	growsFor = 3 * time.Second
	// growsAtMost is how long a host that failed is without a message while others fail on and on.
	growsAtMost = 15 * time.Second
	// growthsMax bounds such messages of an incident to a channel, but for those that it became worse.
	growthsMax = 5
)

// NewState folds the events, oldest first.
func NewState(events []ledger.NotifyEvent) State {
	s := State{
		sent: map[string]mark{}, steps: map[string][]step{}, acked: map[string]ledger.NotifyEvent{},
		Failing: map[string]bool{}, begun: map[string]time.Time{},
	}
	for _, e := range events {
		s.Add(e)
	}
	return s
}

// Add folds one more event.
func (s *State) Add(e ledger.NotifyEvent) {
	switch e.Action {
	case ledger.NotifyBegun:
		if e.Channel == "" {
			s.Since = e.At
		} else if _, known := s.begun[e.Channel]; !known {
			s.begun[e.Channel] = e.At
		}
	case ledger.NotifySent:
		m, key := mark{e.Alert, e.At}, roundKey(e.Alert, e.Round)
		s.sent[e.ID] = m
		s.steps[key] = append(s.steps[key], step{m, e.Step, e.Channel, e.Hosts, catalog.Severity(e.Severity)})
	case ledger.NotifyAcknowledged:
		if key := roundKey(e.Alert, e.Round); s.acked[key].ID == "" {
			s.acked[key] = e
		}
	case ledger.NotifySilenced:
		if e.Silence != nil {
			s.Silences = append(s.Silences, *e.Silence)
		}
	case ledger.NotifyUnsilenced:
		s.Silences = slices.DeleteFunc(s.Silences, func(x ledger.Silence) bool { return x.ID == e.ID })
	}
}

// wasSent reports whether a channel took the message.
func (s *State) wasSent(id string) bool { _, sent := s.sent[id]; return sent }

func roundKey(alert string, round int) string { return fmt.Sprintf("%s/%d", alert, round) }

// Acknowledged returns who acknowledged the alert, and when; the zero event if nobody did.
func (s *State) Acknowledged(m Alert) ledger.NotifyEvent { return s.acked[roundKey(m.ID, m.Round)] }

// reported returns whether a message about the alert was sent.
func (s *State) reported(m Alert) bool { return len(s.steps[roundKey(m.ID, m.Round)]) > 0 }

// Plan returns the messages that are due, and when the next one is; the zero time if none is.
func Plan(n *catalog.Notify, s State, alerts []Alert, now time.Time) (due []Message, next time.Time) {
	p := planner{notify: n, state: s, now: now, seen: map[string]bool{}}
	if n == nil {
		return nil, next
	}
	for _, m := range alerts {
		p.concerns = map[string]concern{}
		for _, r := range n.Routes {
			if matches(r, m) {
				p.route(r, m)
			}
		}
	}
	return p.due, p.next
}

type planner struct {
	notify *catalog.Notify
	state  State
	now    time.Time
	due    []Message
	next   time.Time
	seen   map[string]bool // message ids that are due already: two routes may name one channel

	concerns map[string]concern // of the alert that is planned, by channel
}

// at plans a message for a time.
func (p *planner) at(r catalog.Route, m Alert, name string, channels []string, at time.Time) {
	at = quietEnd(r.Quiet, at, p.now, m.Severity)
	if at.After(p.now) {
		p.later(at)
		return
	}
	for _, channel := range channels {
		p.message(m, name, channel, false)
	}
	failing := func(c string) bool { return p.state.Failing[c] }
	if len(channels) > 0 && !slices.ContainsFunc(channels, func(c string) bool { return !failing(c) }) &&
		!p.anySent(m, name, channels) {
		for _, channel := range r.Fallback {
			p.message(m, name, channel, true)
		}
	}
}

func (p *planner) later(at time.Time) {
	if p.next.IsZero() || at.Before(p.next) {
		p.next = at
	}
}

func (p *planner) message(m Alert, name, channel string, fallback bool) {
	id := messageID(m, name, channel)
	if p.state.wasSent(id) || p.seen[id] {
		return
	}
	p.seen[id] = true
	c := p.concern(m, channel)
	p.due = append(p.due, Message{
		ID: id, Channel: channel, Step: name, Alert: m, Hosts: len(c.failed), Severity: c.severity, Fallback: fallback,
	})
}

func (p *planner) anySent(m Alert, name string, channels []string) bool {
	return slices.ContainsFunc(channels, func(c string) bool { return p.state.wasSent(messageID(m, name, c)) })
}

// messageID names a message. It does not depend on when the message is sent.
func messageID(m Alert, name, channel string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{roundKey(m.ID, m.Round), name, channel}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// route plans the messages that a route sends about an alert.
func (p *planner) route(r catalog.Route, m Alert) {
	channels := r.Channels
	if len(channels) == 0 {
		for _, c := range p.notify.Channels {
			channels = append(channels, c.Name)
		}
	}
	sent := p.state.steps[roundKey(m.ID, m.Round)]
	first := m.Opened.Add(r.After)
	if m.NotBefore.After(first) {
		first = m.NotBefore
	}
	reported := slices.ContainsFunc(sent, func(s step) bool { return s.name != stepOver })
	switch {
	case m.Over.IsZero():
		p.opening(r, m, stepOpened, channels, first)
	case reported:
		p.over(r, m, sent)
		return
	default:
		// One message says both. It has the id of the end: a channel that took a message which is not recorded, as after
		// a kill, takes this one, too.
		p.opening(r, m, stepOver, channels, first)
		return
	}
	if m.Covered || p.quiet(r, m, p.now) {
		return
	}
	p.grown(r, m, channels, sent) // also after an acknowledgement, which was of less
	if p.state.Acknowledged(m).ID != "" {
		return
	}
	if r.Repeat > 0 {
		n := 1
		if passed := p.now.Sub(first); passed > 0 {
			n = max(1, int(passed/r.Repeat))
		}
		// Only the latest reminder is sent: those that were missed add nothing.
		p.at(r, m, fmt.Sprintf("%s-%d", stepRepeated, n), channels, first.Add(time.Duration(n)*r.Repeat))
		p.later(first.Add(time.Duration(n+1) * r.Repeat))
	}
	for n, e := range r.Escalate {
		p.at(r, m, fmt.Sprintf("%s-%d", stepEscalated, n+1), e.Channels, m.Opened.Add(e.After))
	}
}

// opening plans the first message, also for what was over before a message could be sent. What was shorter than the
// route's delay gets none.
func (p *planner) opening(r catalog.Route, m Alert, name string, channels []string, first time.Time) {
	latest := m.Opened
	if m.Over.IsZero() && m.Changed.After(latest) {
		latest = m.Changed // what became worse a day later may be for a route that had nothing to send before
	}
	history := p.now.Sub(latest) > NotifyWithin || !m.Over.IsZero() && m.Over.Before(p.state.Since)
	// What ended in a silence or a maintenance is not reported after it: nobody needs a message that only says it is
	// over.
	quiet := p.quiet(r, m, p.now) || !m.Over.IsZero() && p.quiet(r, m, m.Over)
	if quiet || m.Covered || history || !m.Over.IsZero() && m.Over.Before(m.Opened.Add(r.After)) {
		return
	}
	p.at(r, m, name, channels, first)
}

// grown plans a message for each channel whose messages were about fewer hosts, or about something less severe.
func (p *planner) grown(r catalog.Route, m Alert, channels []string, sent []step) {
	channels = append(slices.Clone(channels), r.Fallback...)
	for _, e := range r.Escalate {
		channels = append(channels, e.Channels...)
	}
	r.Fallback = nil
	for _, channel := range channels {
		hosts, severity, grown := 0, catalog.Severity(""), 0
		for _, s := range sent {
			if s.channel != channel || s.name == stepOver {
				continue
			}
			if hosts = max(hosts, s.hosts); s.severity.AtLeast(severity) {
				severity = s.severity
			}
			if strings.HasPrefix(s.name, stepGrown+"-") {
				grown++
			}
		}
		if hosts == 0 {
			continue // it got none
		}
		c := p.concern(m, channel)
		more, worse := len(c.failed) > hosts, !severity.AtLeast(c.severity)
		at := m.Changed.Add(growsFor)
		if more {
			at = earlier(at, c.failed[hosts].Add(growsAtMost))
		}
		if worse {
			at = m.Changed // what fails on and on must not delay that
		}
		if worse || more && grown < growthsMax {
			p.at(r, m, fmt.Sprintf("%s-%d-%s", stepGrown, len(c.failed), c.severity), []string{channel}, at)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// over plans the message that the alert is over, for every channel that got an earlier one.
func (p *planner) over(r catalog.Route, m Alert, sent []step) {
	var channels []string
	for _, s := range sent {
		if s.name != stepOver && !slices.Contains(channels, s.channel) {
			channels = append(channels, s.channel)
		}
	}
	if len(channels) > 0 && p.now.Sub(m.Over) <= NotifyWithin {
		r.Fallback = nil // nobody there knows what it was about
		p.at(r, m, stepOver, channels, m.Over)
	}
}

func silences(s ledger.Silence, h Host, now time.Time) bool {
	if now.Before(s.From) || !now.Before(s.Until) || s.Host != "" && s.Host != h.ID ||
		s.Group != "" && s.Group != h.Group {
		return false
	}
	for key, value := range s.Labels {
		if h.Labels[key] != value {
			return false
		}
	}
	return s.Check == "" || len(h.Checks) > 0 && !slices.ContainsFunc(h.Checks, func(c string) bool {
		return !strings.EqualFold(c, s.Check)
	})
}
