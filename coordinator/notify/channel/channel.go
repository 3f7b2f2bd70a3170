// Package channel sends one message to one channel: by e-mail, to a webhook, through a service that shoutrrr knows, or
// to an account at Mastodon or Bluesky.
package channel

import (
	"context"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/secret"
)

// Message is what a channel sends.
type Message struct {
	ID      string    // the same for each attempt
	Thread  string    // the id of the message that this one answers; its own id for the first
	Type    string    // "incident.opened"
	Subject string    // one line
	Body    string    // plain text
	At      time.Time // of an announcement: when it was said
	Data    any       // for programs: JSON
}

// Sender sends through channels. Its errors contain no secret.
type Sender struct {
	// Resolve returns a text with the values of its secrets.
	Resolve func(catalog.SecretText) (secret.Text, error)
	// Domain is the right part of e-mails' ids.
	Domain string
}

// Timeout bounds one attempt.
const Timeout = 15 * time.Second

// Send sends a message to a channel, and returns nil once the channel has taken it.
func (s Sender) Send(ctx context.Context, server *catalog.MailServer, c catalog.Channel, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	var err error
	switch {
	case len(c.Email) > 0 && server != nil:
		err = s.email(ctx, *server, c.Email, m)
	case c.Webhook.Given():
		err = s.webhook(ctx, c, m)
	case c.URL.Given():
		err = s.service(ctx, c.URL, m)
	default:
		return fmt.Errorf("channel %s has no address", c.Name)
	}
	if err != nil {
		return fmt.Errorf("channel %s: %w", c.Name, err)
	}
	return nil
}
