package notify

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// health is how a channel does.
type health struct {
	failures int
	since    time.Time // of the first failure in a row
	err      error     // of the last
	sent     uint64    // messages since the start
	failed   uint64    // attempts since the start
}

// succeeded records that the channel took a message.
func (h *health) succeeded() { *h = health{sent: h.sent + 1, failed: h.failed} }

// failedAt records that an attempt failed.
func (h *health) failedAt(now time.Time, err error) {
	if h.failures == 0 {
		h.since = now
	}
	h.failures++
	h.failed++
	h.err = err
}

// channel returns how a channel does.
func (l *loop) channel(name string) *health {
	h := l.channels[name]
	if h == nil {
		h = &health{}
		l.channels[name] = h
	}
	return h
}

// warnOfChannels shows operators which channels fail. After some time that is an advisory, too: also while the next
// attempt is far away. A channel that is not in the catalog any more fails nobody.
func (l *loop) warnOfChannels(c *catalog.Catalog, now time.Time) {
	for name, h := range l.channels {
		announced := slices.ContainsFunc(c.Announce, func(a catalog.Announce) bool { return AccountName(a) == name })
		undelivered, unreachable := "", ""
		switch since := h.since.UTC().Format("15:04:05Z"); {
		case !announced && (c.Notify == nil || c.Notify.Channel(name) == nil):
			delete(l.channels, name)
		case h.failures == 0:
		case now.Sub(h.since) >= warnAfter:
			unreachable = "the channel " + name + " has delivered nothing since " + since + ": " + h.err.Error()
		default:
			undelivered = "messages to the channel " + name + " wait since " + since + ": " + h.err.Error()
		}
		l.config.Warn(undeliveredSubject+name, undelivered)
		l.config.Warn("channel "+name, unreachable)
	}
}

// channelWait returns how long the loop may wait until a failing channel is one to warn of.
func (l *loop) channelWait(now time.Time) time.Duration {
	wait := recheckAfter
	for _, h := range l.channels {
		if left := h.since.Add(warnAfter).Sub(now); h.failures > 0 && left > 0 {
			wait = min(wait, left)
		}
	}
	return wait
}

// undeliveredSubject is the beginning of the subjects of warnings that are shown, and that are no advisories yet.
const undeliveredSubject = "undelivered "

// Delivery is how a channel does, for programs that watch it.
type Delivery struct {
	Channel      string
	Sent, Failed uint64 // messages, and attempts, since the start
	Waiting      int    // messages that were tried and are not delivered
	Failing      bool
}

// Deliveries returns how the channels and accounts of the catalog do.
func (n *Notifier) Deliveries(ctx context.Context) (out []Delivery, err error) {
	c := n.config.Catalog()
	var names []string
	if c.Notify != nil {
		for _, ch := range c.Notify.Channels {
			names = append(names, ch.Name)
		}
	}
	for _, a := range c.Announce {
		names = append(names, AccountName(a))
	}
	err = n.ask(ctx, func(_ context.Context, l *loop) {
		for _, name := range names {
			h := l.channel(name)
			d := Delivery{Channel: name, Sent: h.sent, Failed: h.failed, Failing: h.failures > 0}
			for _, t := range l.tries {
				if t.channel == name {
					d.Waiting++
				}
			}
			out = append(out, d)
		}
	})
	return out, err
}

// Advisories counts warnings by the kinds of advisories that they are.
func Advisories(warnings map[string]string) map[string]int {
	out := map[string]int{}
	for subject := range warnings {
		if !strings.HasPrefix(subject, undeliveredSubject) {
			out[AdvisoryKind(subject)]++
		}
	}
	return out
}

func (l *loop) failing() map[string]bool {
	out := map[string]bool{}
	for name, h := range l.channels {
		out[name] = h.failures >= failingAfter
	}
	return out
}

// backoff returns how long to wait after a failure: 1 s, 2 s, then twice as long each time, up to five minutes.
func backoff(n int) time.Duration {
	d := backoffMax
	if n < 10 {
		d = min(d, time.Second<<(n-1))
	}
	if n <= 2 {
		return d
	}
	return time.Duration(float64(d) * (.75 + rand.Float64()/2))
}
