package notify

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// quiet reports whether nobody is to be notified of any host of the alert that the route matches: each was silenced at
// the time, or is under maintenance.
func (p *planner) quiet(r catalog.Route, m Alert, at time.Time) bool {
	return len(m.Hosts) > 0 && !slices.ContainsFunc(m.Hosts, func(h Host) bool {
		return matchesHost(r.Match, h) && !p.suppressed(h, at)
	})
}

// suppressed reports whether a host is under maintenance, or was silenced at a time.
func (p *planner) suppressed(h Host, at time.Time) bool {
	return h.Covered ||
		slices.ContainsFunc(p.state.Silences, func(s ledger.Silence) bool { return silences(s, h, at) })
}

// concern is what of an alert concerns a channel.
type concern struct {
	failed   []time.Time // when each host failed that a route of the channel matches and that is not suppressed
	severity catalog.Severity
}

// concern returns what of the alert concerns a channel, the host that failed first in front.
func (p *planner) concern(m Alert, channel string) concern {
	known, ok := p.concerns[channel]
	if !ok {
		known.failed, known.severity = p.weigh(m, channel)
		p.concerns[channel] = known
	}
	return known
}

func (p *planner) weigh(m Alert, channel string) (failed []time.Time, severity catalog.Severity) {
	for _, h := range m.Hosts {
		concerns := func(r catalog.Route) bool {
			return usesChannel(r, channel) && matches(r, m) && matchesHost(r.Match, h)
		}
		if p.suppressed(h, p.now) || !slices.ContainsFunc(p.notify.Routes, concerns) {
			continue
		}
		at := h.Failed
		if at.IsZero() {
			at = m.Changed
		}
		failed = append(failed, at)
		if !severity.AtLeast(h.Severity) {
			severity = h.Severity
		}
	}
	if len(failed) == len(m.Hosts) || severity == "" {
		severity = m.Severity
	}
	slices.SortFunc(failed, time.Time.Compare)
	return failed, severity
}

// usesChannel reports whether a route may send to the channel.
func usesChannel(r catalog.Route, channel string) bool {
	return len(r.Channels) == 0 || slices.Contains(r.Channels, channel) || slices.Contains(r.Fallback, channel) ||
		slices.ContainsFunc(r.Escalate, func(e catalog.Escalation) bool { return slices.Contains(e.Channels, channel) })
}
