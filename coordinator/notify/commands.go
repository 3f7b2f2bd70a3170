package notify

import (
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/notify/channel"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Bounds of silences.
const (
	silencesMax = 100
	silenceMax  = 90 * 24 * time.Hour
	reasonMax   = 300
)

var errNoNotify = errkind.New(errkind.Conflict,
	"the catalog has no section notify, so no notifications are sent: see deploy/docs/configure.md")

// ask runs a function on the state, in the loop's goroutine.
func (n *Notifier) ask(ctx context.Context, do func(context.Context, *loop)) error {
	ended := make(chan struct{})
	select {
	case n.asks <- func(running context.Context, l *loop) { do(running, l); close(ended) }:
		<-ended
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the notifier is not running: %w", ctx.Err())
	}
}

// decideWait bounds how long the loop may take until it receives what was decided: it reads the incidents meanwhile.
const decideWait = 30 * time.Second

// decide appends what a person decided, and lets the loop know. Once it is in the ledger the loop must know it, also if
// the person does not wait any more: it reads the ledger only when it starts.
func (n *Notifier) decide(ctx context.Context, e ledger.NotifyEvent) error {
	e.At = n.wall()
	e.Mesh, _ = n.config.Clock()
	if err := n.config.Append(ctx, e); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), decideWait)
	defer cancel()
	select {
	case n.events <- e:
		return nil
	case <-wait.Done():
		return fmt.Errorf("the notifier is not running: %w", wait.Err())
	}
}

// Title returns the title of an alert, and whether it is over or acknowledged; false if it is not known.
func (n *Notifier) Title(ctx context.Context, id string) (title string, over, acknowledged, ok bool) {
	err := n.ask(ctx, func(_ context.Context, l *loop) {
		for _, m := range l.alerts {
			if m.ID == id {
				title, over, acknowledged, ok = m.Text.Title, !m.Over.IsZero(), l.state.Acknowledged(m).ID != "", true
			}
		}
	})
	return title, over, acknowledged, ok && err == nil
}

// anyRound means the present round of an alert.
const anyRound = -1

// Acknowledge stops reminders and escalations of an open alert, and sends no message itself. It is idempotent.
func (n *Notifier) Acknowledge(ctx context.Context, id, by string) error {
	return n.AcknowledgeRound(ctx, id, anyRound, by)
}

// AcknowledgeRound is Acknowledge for a round of an alert: a link does not acknowledge what came back since.
func (n *Notifier) AcknowledgeRound(ctx context.Context, id string, round int, by string) error {
	var found *Alert
	var acknowledged bool
	err := n.ask(ctx, func(running context.Context, l *loop) {
		// The alerts are those of the last step; an incident that opened since is looked up again.
		l.step(running)
		for _, m := range l.alerts {
			// A part of an incident that goes on is acknowledged with the incident, too.
			part := found != nil && !found.Over.IsZero() && m.Of == id && round == anyRound
			if m.ID == id || part {
				found, acknowledged = &m, l.state.Acknowledged(m).ID != ""
			}
		}
	})
	switch {
	case err != nil:
		return err
	case found == nil:
		return errkind.New(errkind.NotFound, fmt.Sprintf("there is no open incident %q: `coordinator incident list` "+
			"shows them", oneLine(shorten(id, 80))))
	case !found.Over.IsZero(), round != anyRound && found.Round != round:
		return errkind.New(errkind.Conflict, fmt.Sprintf("incident %s is over", id))
	case acknowledged:
		return nil
	}
	return n.decide(ctx, ledger.NotifyEvent{
		ID: cryptorand.Text(), Action: ledger.NotifyAcknowledged, Alert: found.ID, Round: found.Round, By: by,
	})
}

// Acknowledged returns when the open incidents and advisories were acknowledged, and by what, by their ids.
func (n *Notifier) Acknowledged(ctx context.Context) (out map[string]ledger.NotifyEvent, err error) {
	out = map[string]ledger.NotifyEvent{}
	err = n.ask(ctx, func(_ context.Context, l *loop) {
		for _, m := range l.alerts {
			if e := l.state.Acknowledged(m); e.ID != "" {
				out[m.ID] = e
			}
		}
	})
	return out, err
}

// Hush is a silence as a person asks for it. At least one of Host, Group, Labels and Check is given.
type Hush struct {
	Host   string            `json:"host,omitempty"`
	Group  string            `json:"group,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Check  string            `json:"check,omitempty"`
	Until  time.Time         `json:"until"`
	Reason string            `json:"reason"`
	By     string            `json:"by,omitempty"`
}

// Silence suppresses notifications about what it matches until a time, and returns the silence's id.
func (n *Notifier) Silence(ctx context.Context, h Hush) (id string, err error) {
	now := n.wall()
	s := ledger.Silence{
		ID: strings.ToLower(cryptorand.Text()), Group: h.Group, Labels: h.Labels, Check: h.Check, From: now,
		Until: h.Until.UTC(), Reason: strings.TrimSpace(h.Reason), By: h.By,
	}
	c := n.config.Catalog()
	if h.Host != "" {
		host := c.Host(mesh.Key(h.Host))
		if host == nil {
			return "", errkind.New(errkind.NotFound, fmt.Sprintf("the catalog has no host %q", h.Host))
		}
		s.Host = host.Identity()
	}
	switch {
	case h.Host == "" && h.Group == "" && len(h.Labels) == 0 && h.Check == "":
		return "", errkind.New(errkind.Invalid, "name what to silence: a host, a group, a label or a check")
	case !h.Until.After(now) || h.Until.Sub(now) > silenceMax:
		return "", errkind.New(errkind.Invalid, "a silence ends in the future, within 90 days")
	case s.Reason == "" || len(s.Reason) > reasonMax || oneLine(s.Reason) != s.Reason:
		return "", errkind.New(errkind.Invalid, "give a reason in one line, of at most 300 bytes")
	case !matchesAny(c, s, now):
		return "", errkind.New(errkind.NotFound, "the catalog has no host that this silence is about")
	}
	all, err := n.Silences(ctx)
	if err != nil {
		return "", err
	}
	if len(all) >= silencesMax {
		return "", errkind.New(errkind.Conflict, "there are 100 silences: remove some")
	}
	return s.ID, n.decide(ctx, ledger.NotifyEvent{ID: s.ID, Action: ledger.NotifySilenced, Silence: &s})
}

// matchesAny reports whether the catalog has a host or a check that the silence is about.
func matchesAny(c *catalog.Catalog, s ledger.Silence, now time.Time) bool {
	return slices.ContainsFunc(c.Hosts, func(h catalog.Host) bool {
		out := Host{ID: h.Identity(), Group: h.Group, Labels: h.Labels}
		if s.Check != "" && h.Check(s.Check) != nil {
			out.Checks = []string{s.Check}
		}
		return silences(s, out, now)
	})
}

// Unsilence ends a silence.
func (n *Notifier) Unsilence(ctx context.Context, id string) error {
	all, err := n.Silences(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(s ledger.Silence) bool { return s.ID == id }) {
		return errkind.New(errkind.NotFound, fmt.Sprintf("there is no silence %q: `coordinator silence list` shows them",
			oneLine(shorten(id, 80))))
	}
	return n.decide(ctx, ledger.NotifyEvent{ID: id, Action: ledger.NotifyUnsilenced})
}

// Silences lists the silences in force, with the hosts' names.
func (n *Notifier) Silences(ctx context.Context) (out []ledger.Silence, err error) {
	now, c := n.wall(), n.config.Catalog()
	err = n.ask(ctx, func(_ context.Context, l *loop) {
		for _, s := range l.state.Silences {
			if now.Before(s.Until) {
				out = append(out, s)
			}
		}
	})
	for i := range out {
		for k := range c.Hosts {
			if c.Hosts[k].Identity() == out[i].Host {
				out[i].Host = c.Hosts[k].Name
			}
		}
	}
	return out, err
}

// Tested is the outcome of a test message.
type Tested struct {
	Channel string `json:"channel"`
	Error   string `json:"error,omitempty"` // empty: the channel took the message
}

// Test sends a test message to a channel, or for "" to all.
func (n *Notifier) Test(ctx context.Context, name string) (out []Tested, err error) {
	c := n.config.Catalog()
	if c.Notify == nil {
		return nil, errNoNotify
	}
	if name != "" && c.Notify.Channel(name) == nil {
		var all []string
		for _, one := range c.Notify.Channels {
			all = append(all, one.Name)
		}
		return nil, errkind.New(errkind.NotFound, fmt.Sprintf("there is no channel %q: there are %s", name,
			strings.Join(all, ", ")))
	}
	id := strings.ToLower(cryptorand.Text())
	for _, one := range c.Notify.Channels {
		if name != "" && one.Name != name {
			continue
		}
		m := channel.Message{
			ID: "test-" + id + "-" + one.Name, Thread: "test-" + id + "-" + one.Name, Type: "test",
			Subject: "TEST of the channel " + one.Name, At: n.wall(),
			Body: "This is a test. No service is affected.\n",
			Data: Data{ID: "test-" + id, State: "over", Title: "Test", Text: "No service is affected.", Hosts: []string{}},
		}
		t := Tested{Channel: one.Name}
		if failure := n.config.Send(ctx, c.Notify.Mail, one, m); failure != nil {
			t.Error = failure.Error()
		}
		out = append(out, t)
	}
	return out, nil
}

// Explained is what one route would do about an outage of a host.
type Explained struct {
	Route    int          `json:"route"` // from 1, in the order of the catalog
	Takes    bool         `json:"takes"`
	Severity string       `json:"severity,omitempty"` // at least
	Notified []Notified   `json:"notified,omitempty"` // in the order of time
	Quiet    string       `json:"quiet,omitempty"`
	Repeat   jsonDuration `json:"repeat,omitempty"`
	Fallback []string     `json:"fallback,omitempty"`
	// Silenced are the silences in force about the host or one of its checks.
	Silenced []ledger.Silence `json:"silenced,omitempty"`
}

// Notified is a channel, and how long after the outage it gets a message.
type Notified struct {
	Channel string       `json:"channel"`
	After   jsonDuration `json:"after"`
	Step    string       `json:"step"`
}

// jsonDuration is a duration as text: "1m0s".
type jsonDuration time.Duration

func (d jsonDuration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *jsonDuration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = jsonDuration(parsed)
	return err
}

// String is the duration for people.
func (d jsonDuration) String() string { return time.Duration(d).String() }

// Explain returns which routes match an outage of a host, and which channels they notify when.
func (n *Notifier) Explain(ctx context.Context, name string) ([]Explained, error) {
	c := n.config.Catalog()
	host := c.Host(mesh.Key(name))
	switch {
	case host == nil:
		return nil, errkind.New(errkind.NotFound, fmt.Sprintf("the catalog has no host %q", name))
	case c.Notify == nil:
		return nil, errNoNotify
	}
	whole := Host{Name: host.Name, ID: host.Identity(), Group: host.Group, Region: host.Region, Labels: host.Labels}
	for _, check := range host.Checks {
		whole.Checks, whole.Kinds = append(whole.Checks, check.Name), append(whole.Kinds, check.Kind)
	}
	silenced, err := n.silencesOf(ctx, whole)
	if err != nil {
		return nil, err
	}
	out := make([]Explained, 0, len(c.Notify.Routes))
	for i, r := range c.Notify.Routes {
		e := Explained{Route: i + 1, Takes: matches(r, Alert{Severity: catalog.Critical, Hosts: []Host{whole}})}
		if e.Takes {
			e.fill(c.Notify, r)
			e.Silenced = silenced
		}
		out = append(out, e)
	}
	return out, nil
}

// silencesOf returns the silences in force about a host, or about one of its checks.
func (n *Notifier) silencesOf(ctx context.Context, h Host) (out []ledger.Silence, err error) {
	now := n.wall()
	err = n.ask(ctx, func(_ context.Context, l *loop) {
		for _, s := range l.state.Silences {
			one := h
			if i := slices.IndexFunc(h.Checks, func(c string) bool { return strings.EqualFold(c, s.Check) }); i >= 0 {
				one.Checks = h.Checks[i : i+1]
			}
			if silences(s, one, now) {
				out = append(out, s)
			}
		}
	})
	return out, err
}

func (e *Explained) fill(n *catalog.Notify, r catalog.Route) {
	e.Severity, e.Repeat, e.Fallback = string(r.Match.Severity), jsonDuration(r.Repeat), r.Fallback
	channels := r.Channels
	if len(channels) == 0 {
		for _, c := range n.Channels {
			channels = append(channels, c.Name)
		}
	}
	for _, c := range channels {
		e.Notified = append(e.Notified, Notified{c, jsonDuration(r.After), stepOpened})
	}
	for _, step := range r.Escalate {
		for _, c := range step.Channels {
			e.Notified = append(e.Notified, Notified{c, jsonDuration(step.After), stepEscalated})
		}
	}
	if q := r.Quiet; q != nil {
		e.Quiet = q.From + " to " + q.To
		if q.Zone != "" {
			e.Quiet += " " + q.Zone
		}
		if q.Unless != "" {
			e.Quiet += ", unless " + string(q.Unless)
		}
	}
	slices.SortStableFunc(e.Notified, func(a, b Notified) int { return cmp.Compare(a.After, b.After) })
}
