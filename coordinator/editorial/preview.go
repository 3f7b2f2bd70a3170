package editorial

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
)

// PostPreview is a post as readers would get it.
type PostPreview struct {
	Page string `json:"page"` // its page as plain text
	Text string `json:"text"` // Markdown
}

// PreviewPost returns what PublishPost would publish, and stores nothing.
func (e *Editor) PreviewPost(_ context.Context, d Draft) (PostPreview, error) {
	var event ledger.PostEvent
	if err := e.describe(&event, d); err != nil {
		return PostPreview{}, err
	}
	return previewOf(d), nil
}

// PreviewEdit returns the post as EditPost would leave it, and stores nothing.
func (e *Editor) PreviewEdit(ctx context.Context, c Edit) (PostPreview, error) {
	post, err := editable(ctx, e.config.Posts, c)
	if err != nil {
		return PostPreview{}, err
	}
	d := c.applied(post)
	var event ledger.PostEvent
	if err := e.describe(&event, d); err != nil {
		return PostPreview{}, err
	}
	if c.Hosts == nil {
		e.nameHosts(&post)
		d.Hosts = post.Hosts
	}
	return previewOf(d), nil
}

func previewOf(d Draft) PostPreview {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", d.Title)
	if names := strings.Join(d.Hosts, ", "); names != "" {
		fmt.Fprintf(&b, "%s\n", names)
	}
	writeLabels(&b, d.Tags, d.Category)
	fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(d.Text))
	return PostPreview{Page: b.String(), Text: d.Text}
}

func writeLabels(b *strings.Builder, tags []string, category string) {
	var labels []string
	if category != "" {
		labels = append(labels, "category "+strings.ToLower(category))
	}
	for _, tag := range tags {
		labels = append(labels, "#"+strings.ToLower(tag))
	}
	if len(labels) > 0 {
		fmt.Fprintln(b, strings.Join(labels, " "))
	}
}

// Page writes the maintenance as its page shows it, in plain text.
func (m MaintenanceEntry) Page() string {
	var b strings.Builder
	at := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
	fmt.Fprintf(&b, "%s\n\n%s, from %s to %s\n", m.Title, strings.ReplaceAll(string(m.State), "_", " "), at(m.Start),
		at(m.End))
	names := make([]string, len(m.Covers))
	for i, t := range m.Covers {
		names[i] = strings.TrimSpace(t.Host + " " + t.Check)
	}
	fmt.Fprintf(&b, "Covers %s\n", strings.Join(names, ", "))
	if m.Rule != "" {
		zone := m.Zone
		if zone == "" {
			zone = "UTC"
		}
		fmt.Fprintf(&b, "Recurs by %s in %s:\n", m.Rule, zone)
		for _, next := range m.Next { // after the one above
			fmt.Fprintf(&b, "  %s\n", at(next))
		}
	}
	writeLabels(&b, m.Tags, m.Category)
	for _, u := range m.Updates {
		if u.Text.Body != "" {
			fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(u.Text.Body))
		}
	}
	return b.String()
}
