// Package notify sends notifications about incidents and about problems of the mesh itself: by e-mail, webhooks and the
// services that shoutrrr knows, as the section notify of the catalog defines.
//
// Plan decides from the incidents, from what was sent before and from the time which messages are due; it is pure. A
// Notifier sends them and records each message that a channel took in the ledger. A message has the same id at each
// attempt, also after a crash: receivers that know ids get each one once.
package notify

import (
	"context"
	cryptorand "crypto/rand"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/notify/channel"
	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// Config configures a Notifier.
type Config struct {
	Catalog   func() *catalog.Catalog // in force
	Snapshot  func() *mesh.Snapshot   // the latest
	Incidents func(context.Context, incident.Query) ([]*incident.Incident, error)
	Warnings  func() map[string]string                                                 // by subject
	Sent      func(ctx context.Context, since time.Time) ([]ledger.NotifyEvent, error) // what the ledger has
	Append    func(ctx context.Context, events ...ledger.Event) error                  // to the ledger
	Clock     func() (mesh time.Time, offset time.Duration)                            // mesh time, and less wall time
	Changed   func() <-chan struct{}                                                   // closed at the next snapshot
	Send      func(context.Context, *catalog.MailServer, catalog.Channel, channel.Message) error
	Links     func(Alert) Links
	Public    func(context.Context) ([]archive.Entry, error) // the newest that the public may read
	Base      func() string                                  // the public address, or ""
	// Pauses returns when nothing was judged since a time. Both are wall time.
	Pauses func(ctx context.Context, since time.Time) ([]sla.Window, error)
	Warn   func(subject, text string) // sets a subject's warning for operators; "" clears it
	Logger zerolog.Logger
}

const (
	incidentsMax = 200
	inFlightMax  = 20 // messages that one channel sends at once
	failingAfter = 3  // failures in a row after which a channel is one that fails
	warnAfter    = 5 * time.Minute
	backoffMax   = 5 * time.Minute
	recheckAfter = 15 * time.Second // though nothing changed
	// settleFor is how long after the start a warning of before may be missing: it may come back.
	settleFor = time.Minute
)

// Notifier sends what is due. Run owns its state; the other methods are safe for concurrent use.
type Notifier struct {
	config  Config
	results chan result
	events  chan ledger.NotifyEvent
	asks    chan func(context.Context, *loop)
}

// result is the end of an attempt.
type result struct {
	message Message
	err     error
}

// New makes a Notifier.
func New(c Config) *Notifier {
	return &Notifier{
		config: c, results: make(chan result), events: make(chan ledger.NotifyEvent),
		asks: make(chan func(context.Context, *loop)),
	}
}

// loop is the state of a running Notifier.
type loop struct {
	*Notifier
	state      State
	advisories advisories
	tries      map[string]try     // by message id: those that failed
	inFlight   map[string]Message // by message id
	channels   map[string]*health // by channel
	unrecorded []ledger.Event     // messages that were sent and are not in the ledger yet
	alerts     []Alert
	forgot     time.Time // when the state was last cleared of what is no longer needed
}

type try struct {
	n       int
	next    time.Time
	channel string
}

// wall returns the time by the wall clock.
func (n *Notifier) wall() time.Time {
	at, offset := n.config.Clock()
	return at.Add(-offset)
}

// Run sends what is due until ctx ends, and waits for the attempts under way.
func (n *Notifier) Run(ctx context.Context) error {
	l := &loop{
		Notifier: n, tries: map[string]try{}, inFlight: map[string]Message{}, channels: map[string]*health{},
	}
	for l.open(ctx) != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
	for ctx.Err() == nil {
		changed := n.config.Changed()
		next := l.step(ctx)
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		case r := <-n.results:
			l.done(r)
		case e := <-n.events:
			l.state.Add(e)
		case ask := <-n.asks:
			ask(ctx, l)
		}
		timer.Stop()
	}
	for len(l.inFlight) > 0 {
		l.done(<-n.results)
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	l.record(ending)
	return nil
}

// open reads what was sent before.
func (l *loop) open(ctx context.Context) error {
	events, err := l.config.Sent(ctx, l.wall().Add(-keptFor))
	if err != nil {
		l.config.Logger.Error().Err(err).Msg("messages sent before not read; retrying")
		return err
	}
	l.state = NewState(events)
	l.advisories = newAdvisories(events, l.wall())
	l.forgot = l.wall() // the advisories of before are among the alerts only after settleFor
	return nil
}

// step starts what is due, and returns how long to wait if nothing changes.
func (l *loop) step(ctx context.Context) time.Duration {
	l.record(ctx)
	now, c := l.wall(), l.config.Catalog()
	if c == nil {
		return recheckAfter
	}
	l.warnOfChannels(c, now)
	// What is due is tried more often than this: the rest is not due any more, and nobody waits for it.
	maps.DeleteFunc(l.tries, func(id string, t try) bool {
		_, sending := l.inFlight[id]
		return !sending && now.Sub(t.next) > 2*backoffMax
	})
	wait := l.channelWait(now)
	if len(c.Announce) > 0 {
		wait = min(wait, l.announce(ctx, c, now))
	}
	if c.Notify != nil {
		wait = min(wait, l.notify(ctx, c, now))
	} else {
		wait = min(wait, l.follow(ctx, c, now))
	}
	return wait
}

// begin records from when on a channel gets messages, or for "" all channels.
func (l *loop) begin(channel string, now time.Time) {
	begun := ledger.NotifyEvent{ID: cryptorand.Text(), Action: ledger.NotifyBegun, Channel: channel, At: now}
	begun.Mesh, _ = l.config.Clock()
	l.unrecorded = append(l.unrecorded, begun)
	l.state.Add(begun)
}

// announce starts the announcements that are due.
func (l *loop) announce(ctx context.Context, c *catalog.Catalog, now time.Time) time.Duration {
	for _, a := range c.Announce {
		if _, known := l.state.begun[AccountName(a)]; !known {
			l.begin(AccountName(a), now)
		}
	}
	entries, err := l.config.Public(ctx)
	if err != nil {
		l.config.Logger.Error().Err(err).Msg("public entries not read; retrying")
		return time.Second
	}
	wait := recheckAfter
	for _, m := range Announce(c.Announce, l.state, entries, now) {
		i := slices.IndexFunc(c.Announce, func(a catalog.Announce) bool { return AccountName(a) == m.Channel })
		to := catalog.Channel{Name: m.Channel, URL: c.Announce[i].URL}
		message := composeAnnouncement(m, strings.TrimSuffix(l.config.Base(), "/"))
		if after := l.start(ctx, nil, &to, m, message, now); after > 0 {
			wait = min(wait, after)
		}
	}
	return wait
}

// notify starts the messages that are due.
func (l *loop) notify(ctx context.Context, c *catalog.Catalog, now time.Time) time.Duration {
	if l.state.Since.IsZero() {
		l.begin("", now)
	}
	incidents, err := l.config.Incidents(ctx, incident.Query{Since: now.Add(-NotifyWithin), Limit: incidentsMax})
	if err != nil {
		l.config.Logger.Error().Err(err).Msg("incidents not read; retrying")
		return time.Second
	}
	snapshot := l.config.Snapshot()
	pauses, err := l.config.Pauses(ctx, now.Add(-pausesWithin))
	if err != nil {
		l.config.Logger.Error().Err(err).Msg("times without a judge not read; retrying")
	}
	warnings := l.config.Warnings()
	maps.DeleteFunc(warnings, func(subject, _ string) bool {
		return covered(subject, snapshot) || strings.HasPrefix(subject, undeliveredSubject)
	})
	l.alerts = slices.Concat(Alerts(c, snapshot, &l.state, incidents, now), l.advisories.observe(warnings, now),
		ofPauses(pauses))
	l.forget(now)
	l.state.Failing = l.failing()
	due, next := Plan(c.Notify, l.state, l.alerts, now)
	wait := recheckAfter
	if !next.IsZero() {
		wait = min(wait, max(0, next.Sub(now)))
	}
	for _, m := range due {
		if after := l.start(ctx, c.Notify.Mail, c.Notify.Channel(m.Channel), m, l.compose(m, now), now); after > 0 {
			wait = min(wait, after)
		}
	}
	return wait
}

// follow keeps the incidents where nobody is notified of them: they can be acknowledged all the same.
func (l *loop) follow(ctx context.Context, c *catalog.Catalog, now time.Time) time.Duration {
	incidents, err := l.config.Incidents(ctx, incident.Query{Since: now.Add(-NotifyWithin), Limit: incidentsMax})
	if err != nil {
		l.config.Logger.Error().Err(err).Msg("incidents not read; retrying")
		return time.Second
	}
	l.alerts = Alerts(c, l.config.Snapshot(), &l.state, incidents, now)
	l.forget(now)
	return recheckAfter
}

// start begins an attempt, unless one is under way or it is too early for the next. It returns how long to wait then. A
// channel gets one message of an alert at a time: if they overtook one another, the last that people read might be that
// something is down which works again.
func (l *loop) start(
	ctx context.Context, server *catalog.MailServer, to *catalog.Channel, m Message, text channel.Message, now time.Time,
) time.Duration {
	if to == nil || ctx.Err() != nil {
		return 0 // the channel was removed from the catalog after it got messages
	}
	if t := l.tries[m.ID]; now.Before(t.next) {
		return t.next.Sub(now)
	}
	busy := 0
	for _, other := range l.inFlight {
		if other.Channel != m.Channel {
			continue
		}
		if busy++; busy == inFlightMax || other.Alert.ID == m.Alert.ID {
			return 0 // the end of an attempt wakes the loop
		}
	}
	l.inFlight[m.ID] = m
	channel := *to
	go func() {
		err := l.config.Send(ctx, server, channel, text)
		l.results <- result{m, err} // the loop takes it, also while it ends
	}()
	return 0
}

// compose makes what a channel sends.
func (l *loop) compose(m Message, now time.Time) channel.Message {
	links, kind := l.config.Links(m.Alert), "incident"
	if m.Alert.Advisory != "" {
		kind = "advisory"
	}
	name, _, _ := strings.Cut(m.Step, "-")
	return channel.Message{
		ID: m.ID, Thread: messageID(m.Alert, stepOpened, m.Channel), Type: kind + "." + name,
		Subject: m.Subject(), Body: m.Body(links), At: now, Data: dataOf(m, links),
	}
}

// dataOf returns a message for programs.
func dataOf(m Message, links Links) Data {
	state := "ongoing"
	if !m.Alert.Over.IsZero() {
		state = "over"
	}
	data := Data{
		ID: m.Alert.ID, Advisory: m.Alert.Advisory, State: state, Severity: string(m.Alert.Severity),
		Title: m.Alert.Text.Title, Text: m.Alert.Text.What, Evidence: m.Alert.Text.Evidence,
		Works: m.Alert.Text.Works, Began: m.Alert.Opened.UTC(), URL: links.Page, Acknowledge: links.Acknowledge,
		Explain: m.Alert.Text.Next, Hosts: []string{},
	}
	if !m.Alert.Began.IsZero() {
		data.Began = m.Alert.Began.UTC()
	}
	if !m.Alert.Over.IsZero() {
		over := m.Alert.Over.UTC()
		data.Over = &over
	}
	if lasted := m.Alert.Over.Sub(m.Alert.Opened); m.Alert.Advisory != "" && lasted > 0 {
		// Its texts were written while it lasted.
		data.Title = "over after " + incident.FormatDuration(lasted.Round(time.Second)) + ": " + data.Title
	}
	for _, h := range m.Alert.Hosts {
		data.Hosts = append(data.Hosts, h.Name)
	}
	return data
}

// Data is a message for programs.
type Data struct {
	ID          string     `json:"id"`
	Advisory    string     `json:"advisory,omitempty"` // the kind; absent for an incident
	State       string     `json:"state"`              // "ongoing" or "over"
	Severity    string     `json:"severity,omitempty"`
	Title       string     `json:"title"`
	Text        string     `json:"text"`
	Works       string     `json:"still_works,omitempty"`
	Evidence    string     `json:"evidence,omitempty"`
	Hosts       []string   `json:"hosts"`
	Began       time.Time  `json:"began,omitzero"` // absent in a test
	Over        *time.Time `json:"over"`
	URL         string     `json:"url,omitempty"`
	Acknowledge string     `json:"acknowledge,omitempty"`
	Explain     string     `json:"explain,omitempty"`
}

// done takes the end of an attempt.
func (l *loop) done(r result) {
	m, now := r.message, l.wall()
	delete(l.inFlight, m.ID)
	h := l.channel(m.Channel)
	if r.err != nil {
		t := l.tries[m.ID]
		t.n++
		t.channel = m.Channel
		t.next = now.Add(backoff(t.n))
		l.tries[m.ID] = t
		h.failedAt(now, r.err)
		l.config.Logger.Warn().Err(r.err).Str("message", m.ID).Str("channel", m.Channel).Int("attempt", t.n).
			Time("next", t.next).Msg("message not sent")
		return
	}
	h.succeeded()
	delete(l.tries, m.ID)
	e := ledger.NotifyEvent{
		ID: m.ID, Action: ledger.NotifySent, Alert: m.Alert.ID, Round: m.Alert.Round, Step: m.Step,
		Channel: m.Channel, At: now,
	}
	if m.Alert.Advisory == "" && m.Announced == nil {
		e.Hosts, e.Severity = m.Hosts, string(m.Severity)
	}
	e.Mesh, _ = l.config.Clock()
	l.state.Add(e)
	l.unrecorded = append(l.unrecorded, e)
	l.config.Logger.Info().Str("message", m.ID).Str("channel", m.Channel).Str("step", m.Step).
		Str("subject", m.Subject()).Msg("message sent")
}

// record appends to the ledger what was sent. What fails is tried again; until then a crash sends it again, with the
// same id.
func (l *loop) record(ctx context.Context) {
	if len(l.unrecorded) == 0 {
		return
	}
	if err := l.config.Append(ctx, l.unrecorded...); err != nil {
		l.config.Logger.Error().Err(err).Msg("sent messages not recorded; retrying")
		return
	}
	l.unrecorded = nil
}
