package health

import (
	"context"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Certificate is a certificate or a credential that the mesh itself uses. Times are of the wall clock.
type Certificate struct {
	ID      string // part of the subject of its warning
	What    string // "certificate of the status page"
	Renewal string // who renews it
	Act     string // what to do if it ends soon nevertheless
	Issued  time.Time
	Ends    time.Time
	Ahead   time.Duration // how long before its end it is reported; zero: certificateAhead, or a third of a shorter life
}

// certificateAhead is how long before its end a certificate is reported, unless Certificate.Ahead is set. Renewal is
// due earlier, so a report means that it failed.
const certificateAhead = 14 * 24 * time.Hour

// EndsSoon reports whether the certificate should have been renewed before the time.
func (c Certificate) EndsSoon(now time.Time) bool {
	ahead := c.Ahead
	if ahead == 0 {
		ahead = min(certificateAhead, c.Ends.Sub(c.Issued)/3)
	}
	return now.Add(ahead).After(c.Ends)
}

// Describe returns when it ends, in words: "certificate of the status page ends in 4 days".
func (c Certificate) Describe(now time.Time) string {
	return (&mesh.Expiry{What: c.What, At: c.Ends}).Describe(now)
}

// certificatesEvery is how often the ends of certificates are compared with the clock.
const certificatesEvery = time.Minute

// WatchCertificates warns of the listed certificates that end soon, each by itself, until ctx ends.
func (w *Warnings) WatchCertificates(ctx context.Context, list func(now time.Time) []Certificate) {
	ticker := time.NewTicker(certificatesEvery)
	defer ticker.Stop()
	for {
		now := time.Now()
		w.SetCertificates(list(now), now)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// SetCertificates updates the warning about certificates that end soon.
func (w *Warnings) SetCertificates(all []Certificate, now time.Time) {
	var texts []string
	parts := map[string]string{}
	for _, c := range all {
		if c.EndsSoon(now) {
			text := c.Describe(now) + ": " + c.Act
			texts, parts[c.ID] = append(texts, text), text
		}
	}
	shown := strings.Join(texts[:min(len(texts), checksMax)], "; ")
	if more := len(texts) - checksMax; more > 0 {
		shown += "; and more, which the page of agents lists"
	}
	w.Warn("certificate", shown)
	w.setParts("certificate", parts)
}
