package ledger

import (
	"time"
)

// NotifyAction is what happened to the notifications about an alert: an incident or an advisory.
type NotifyAction string

// The actions.
const (
	NotifyBegun        NotifyAction = "begun"        // notifications are sent from now on
	NotifySent         NotifyAction = "sent"         // a channel took a message
	NotifyAcknowledged NotifyAction = "acknowledged" // somebody looks after the alert
	NotifySilenced     NotifyAction = "silenced"     // no notifications about what Silence matches, for a while
	NotifyUnsilenced   NotifyAction = "unsilenced"
)

// NotifyEvent is a message that was sent, or what people decided about messages.
type NotifyEvent struct {
	ID      string       `json:"id"` // of the message; of an acknowledgement or silence a random one
	Action  NotifyAction `json:"action"`
	Alert   string       `json:"alert,omitempty"`   // id of the incident, or "advisory-" and the subject
	Round   int          `json:"round,omitempty"`   // how often the alert had ended and come back before
	Step    string       `json:"step,omitempty"`    // of the message
	Channel string       `json:"channel,omitempty"` // that took the message
	// Of an incident: how many hosts the message was about, and how severe it was. Zero before version 0.2.
	Hosts    int       `json:"hosts,omitempty"`
	Severity string    `json:"severity,omitempty"`
	By       string    `json:"by,omitempty"` // who acknowledged, and how
	Silence  *Silence  `json:"silence,omitempty"`
	At       time.Time `json:"at"`   // by the wall clock
	Mesh     time.Time `json:"mesh"` // mesh time
}

// Silence suppresses notifications until a time, for a reason.
type Silence struct {
	ID     string            `json:"id"`
	Host   string            `json:"host,omitempty"` // internal id
	Group  string            `json:"group,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Check  string            `json:"check,omitempty"` // of any host
	From   time.Time         `json:"from"`
	Until  time.Time         `json:"until"`
	Reason string            `json:"reason"`
	By     string            `json:"by,omitempty"`
}

func (e NotifyEvent) entry() (Entry, error) {
	if e.Mesh.IsZero() {
		return Entry{}, errNoMeshTime
	}
	about := e.Alert
	if about == "" {
		about = e.ID
	}
	return encode("notify."+about, "notify-"+string(e.Action)+"-"+e.ID, e)
}
