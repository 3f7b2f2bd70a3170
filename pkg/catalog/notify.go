package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/secret"
)

// SecretText is a text of a section that stays on coordinators. It may have references to secrets: "${NAME}", or it is
// "file:PATH" as a whole.
type SecretText struct {
	Text       string   `json:"text"`
	References []string `json:"references,omitempty"` // as the text spells them; without any, it is literal
}

// Given reports whether the file has the text.
func (t SecretText) Given() bool { return t.Text != "" }

// Resolve returns the text with the values of its references, by name. Its errors contain no value.
func (t SecretText) Resolve(values map[string]secret.Text) (secret.Text, error) {
	if len(t.References) == 0 {
		return secret.New(t.Text), nil
	}
	text, err := replace(t.Text, values)
	return secret.New(text), err
}

func (t SecretText) bounded() error {
	if len(t.Text) > resolvedMax || len(t.References) > SecretsMax {
		return errors.New("a text is too long, or has too many references")
	}
	for _, name := range t.References {
		if !ValidReference(name) || !strings.Contains(t.Text, name) {
			return errors.New("an invalid reference to a secret")
		}
	}
	return nil
}

// Notify defines who is notified of what. Agents do not get it.
type Notify struct {
	Mail     *MailServer `json:"mail,omitempty"`
	Channels []Channel   `json:"channels"`
	Routes   []Route     `json:"routes"`
	// PendingAfter is how long a check may have no verdict before somebody is notified.
	PendingAfter time.Duration `json:"pending_after"`
}

// MailServer is the server that takes e-mail.
type MailServer struct {
	Server   SecretText `json:"server"` // smtp://HOST:PORT, smtp+starttls:// or smtps://, with a user and password or not
	From     string     `json:"from"`
	User     SecretText `json:"user,omitzero"`
	Password SecretText `json:"password,omitzero"`
}

// Channel is where messages go: exactly one of Email, Webhook and URL is given.
type Channel struct {
	Name    string     `json:"name"`
	Email   []string   `json:"email,omitempty"`
	Webhook SecretText `json:"webhook,omitzero"`
	Secret  SecretText `json:"secret,omitzero"` // signs the webhook's messages
	URL     SecretText `json:"url,omitzero"`    // of a service that shoutrrr knows
}

// Route sends what it matches to channels.
type Route struct {
	Match    Match         `json:"match"`
	Channels []string      `json:"channels,omitempty"` // none: all
	After    time.Duration `json:"after,omitempty"`    // nothing is sent about what is over before
	Repeat   time.Duration `json:"repeat,omitempty"`   // zero: never
	Escalate []Escalation  `json:"escalate,omitempty"`
	Quiet    *Quiet        `json:"quiet,omitempty"`
	Fallback []string      `json:"fallback,omitempty"` // used when the channels fail
}

// Match selects what a route takes; what is empty matches everything. Advisories match only routes that name them.
type Match struct {
	Hosts      []string          `json:"host,omitempty"`
	Groups     []string          `json:"group,omitempty"`
	Regions    []string          `json:"region,omitempty"`
	Labels     map[string]string `json:"label,omitempty"`
	Kinds      []string          `json:"kind,omitempty"`     // of the checks that failed
	Severity   Severity          `json:"severity,omitempty"` // at least
	Advisories []string          `json:"advisory,omitempty"`
}

// Severity is how bad an incident is.
type Severity string

// The severities.
const (
	Minor    Severity = "minor"    // degraded
	Major    Severity = "major"    // a partial outage
	Critical Severity = "critical" // a major outage
)

// Severities lists the severities from the least.
func Severities() []Severity { return []Severity{Minor, Major, Critical} }

// AtLeast reports whether the severity is as bad as another one. No severity is less than any.
func (s Severity) AtLeast(other Severity) bool {
	return slices.Index(Severities(), s) >= slices.Index(Severities(), other)
}

// Escalation notifies further channels when nobody has acknowledged for a time.
type Escalation struct {
	After    time.Duration `json:"after"`
	Channels []string      `json:"channels"`
}

// Quiet is a time of the day in which nothing is sent: it is sent at the end, if it still matters then.
type Quiet struct {
	From   string   `json:"from"` // "22:00"
	To     string   `json:"to"`
	Zone   string   `json:"zone,omitempty"`   // of the IANA database; empty: UTC
	Unless Severity `json:"unless,omitempty"` // what is as bad as this is sent all the same
}

// QuietLayout is the layout of the times of Quiet.
const QuietLayout = "15:04"

// Announce publishes what the public may read to an account or a chat.
type Announce struct {
	URL  SecretText `json:"url"`
	What []string   `json:"what"` // of AnnounceKinds
}

// AnnounceKinds lists what can be announced.
func AnnounceKinds() []string { return []string{"incidents", "posts"} }

// Advisories lists the kinds of advisories that a route may name.
func Advisories() []string {
	return []string{
		"silent-agent", "isolated-vantage", "regions-silent", "disk", "certificates", "lag", "overdue", "pending",
		"catalog", "channel", "coordinator", "damage", "other",
	}
}

// Bounds of notifications.
const (
	ChannelsMax         = 100
	RoutesMax           = 100
	EscalationsMax      = 10
	EmailsMax           = 50
	AnnouncesMax        = 20
	NotifyDelayMax      = 7 * 24 * time.Hour
	RepeatMin           = time.Minute
	DefaultPendingAfter = 15 * time.Minute
)

// Channel returns the channel of this name, or nil.
func (n *Notify) Channel(name string) *Channel {
	i := slices.IndexFunc(n.Channels, func(c Channel) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &n.Channels[i]
}

// texts lists the texts that may have references.
func (n *Notify) texts() (out []SecretText) {
	if n == nil {
		return nil
	}
	if n.Mail != nil {
		out = append(out, n.Mail.Server, n.Mail.User, n.Mail.Password)
	}
	for _, c := range n.Channels {
		out = append(out, c.Webhook, c.Secret, c.URL)
	}
	return out
}

func (n *Notify) bounded() error {
	if n == nil {
		return nil
	}
	if len(n.Channels) > ChannelsMax || len(n.Routes) > RoutesMax {
		return errors.New("too many channels or routes")
	}
	names := map[string]bool{}
	for _, c := range n.Channels {
		if !ValidName(c.Name) || names[c.Name] || len(c.Email) > EmailsMax {
			return fmt.Errorf("the channel %q is invalid or given twice", c.Name)
		}
		names[c.Name] = true
	}
	for _, r := range n.Routes {
		all := slices.Concat(r.Channels, r.Fallback)
		for _, e := range r.Escalate {
			all = append(all, e.Channels...)
		}
		if slices.ContainsFunc(all, func(name string) bool { return !names[name] }) {
			return errors.New("a route names a channel that does not exist")
		}
		if r.After < 0 || r.After > NotifyDelayMax || r.Repeat < 0 || r.Repeat > NotifyDelayMax ||
			r.Repeat > 0 && r.Repeat < RepeatMin || len(r.Escalate) > EscalationsMax {
			return errors.New("a route's times are out of bounds")
		}
	}
	return nil
}

// notifyBounded checks the sections notify and announce.
func (c *Catalog) notifyBounded() error {
	if err := c.Notify.bounded(); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	if len(c.Announce) > AnnouncesMax {
		return errors.New("announce: too many accounts")
	}
	for _, t := range c.coordinatorTexts() {
		if err := t.bounded(); err != nil {
			return fmt.Errorf("notify: %w", err)
		}
	}
	return nil
}

// coordinatorTexts lists the texts with references that stay on coordinators.
func (c *Catalog) coordinatorTexts() []SecretText {
	out := c.Notify.texts()
	for _, a := range c.Announce {
		out = append(out, a.URL)
	}
	return out
}
