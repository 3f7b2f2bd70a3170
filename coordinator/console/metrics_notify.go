package console

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Metrics of incidents and notifications. Hosts, kinds and channels without any have a series with 0, so that an alert
// knows "none" from "not known".
var (
	incidentOpen = describe("probemesh_incident_open", "1 while the host is part of an open incident, 0 otherwise.",
		"host", "region")
	certificateExpiry = describe("probemesh_certificate_expiry_timestamp_seconds",
		"When the certificate of the check ends, once that is within its certificate_days.", "host", "region", "check")
	notificationsSent = describe("probemesh_notifications_sent_total",
		"Messages that the channel accepted since the coordinator started.", "channel")
	notificationFailures = describe("probemesh_notification_failures_total",
		"Attempts to send a message that failed since the coordinator started.", "channel")
	notificationsWaiting = describe("probemesh_notifications_waiting",
		"Messages that the channel has refused so far, and that are tried again.", "channel")
	advisories = describe("probemesh_advisories", "Problems of the mesh itself, by the kinds that routes name.", "kind")
)

// Notifications are the state of the channels, and how many advisories are open.
type Notifications struct {
	Channels   []ChannelState
	Advisories map[string]int // by kind
}

// ChannelState is what a channel of the catalog has sent, and what it could not send.
type ChannelState struct {
	Name         string
	Sent, Failed uint64 // messages, and attempts, since the start
	Waiting      int    // messages that were tried and not sent
}

// incidentsMax bounds how many open incidents the metrics consider.
const incidentsMax = 1000

func (c collector) collectIncidents(ctx context.Context, send sender, s *mesh.Snapshot) {
	open, err := c.config.Source.Incidents(ctx, incident.Query{Since: time.Now(), Limit: incidentsMax})
	if err != nil {
		c.config.Logger.Warn().Err(err).Msg("open incidents unknown")
		return // no sample is honest, 0 would be good news
	}
	affected := map[string]bool{}
	for _, i := range open {
		for _, h := range i.Hosts {
			affected[mesh.Key(h.Name)] = affected[mesh.Key(h.Name)] || i.Open()
		}
	}
	for i := range s.Hosts {
		h := &s.Hosts[i]
		send.gauge(incidentOpen, boolValue(affected[mesh.Key(h.Name)]), h.Name, h.Region)
		for k := range h.Checks {
			if expiry := h.Checks[k].Expiry; expiry != nil && expiry.What == mesh.Certificate {
				send.gauge(certificateExpiry, unixSeconds(expiry.At), h.Name, h.Region, h.Checks[k].Name)
			}
		}
	}
}

func (c collector) collectNotifications(ctx context.Context, send sender) {
	if c.config.Notifications == nil {
		return
	}
	n, err := c.config.Notifications(ctx)
	if err != nil {
		c.config.Logger.Warn().Err(err).Msg("notifications unknown")
		return
	}
	for _, ch := range n.Channels {
		send.counter(notificationsSent, float64(ch.Sent), ch.Name)
		send.counter(notificationFailures, float64(ch.Failed), ch.Name)
		send.gauge(notificationsWaiting, float64(ch.Waiting), ch.Name)
	}
	for _, kind := range catalog.Advisories() {
		send.gauge(advisories, float64(n.Advisories[kind]), kind)
	}
}
