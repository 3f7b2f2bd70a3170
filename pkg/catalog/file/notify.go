package file

import (
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// notifyParser parses the sections notify and announce. It runs after the hosts, which routes name.
type notifyParser struct{ *parser }

// notify parses the section notify.
func (p notifyParser) notify(n ast.Node) {
	if n == nil {
		return
	}
	m := p.yaml.mapping(n, "notify")
	if m == nil {
		return
	}
	out := &catalog.Notify{PendingAfter: catalog.DefaultPendingAfter}
	p.out.Notify = out
	p.mailServer(m.get("mail"), out)
	channels := m.get("channels")
	if channels == nil {
		m.missing("channels", "name at least one channel, as in {name: mail, email: [ops@example.net]}",
			"notify has no channels")
	}
	for _, item := range p.yaml.bounded(channels, "channels", catalog.ChannelsMax) {
		p.channel(item, out)
	}
	routes := m.get("routes")
	if routes == nil {
		m.missing("routes", "add routes; '- {channels: [NAME]}' takes every incident", "notify has no routes")
	}
	for _, item := range p.yaml.bounded(routes, "routes", catalog.RoutesMax) {
		p.route(item, out)
	}
	m.duration("pending_after", &out.PendingAfter, time.Minute, catalog.NotifyDelayMax)
	m.end()
}

// bounded returns the items of a list that may be missing.
func (r *reader) bounded(n ast.Node, what string, most int) []ast.Node {
	if n == nil {
		return nil
	}
	items := r.sequence(n, what)
	if len(items) > most {
		r.mistake(n, "keep those that matter", "more than %d %s", most, what)
		return nil
	}
	return items
}

// secretText parses a text that may have references and stays on the coordinator.
func (p notifyParser) secretText(m *mapping, key string) (out catalog.SecretText) {
	s := secretReader{yaml: p.yaml, check: p.secrets.check}
	if !s.text(m, key, &out.Text) {
		return catalog.SecretText{}
	}
	for _, r := range s.found {
		out.References = append(out.References, r.Name)
	}
	return out
}

// usable reports an address or a secret with which nothing can be sent.
func (p notifyParser) usable(m *mapping, key string, t catalog.SecretText) {
	if p.addressProblem == nil || !t.Given() {
		return
	}
	if what, mend := p.addressProblem(key, t); what != "" {
		p.yaml.mistake(m.values[key], mend, "%s", what)
	}
}

func (p notifyParser) mailServer(n ast.Node, out *catalog.Notify) {
	if n == nil {
		return
	}
	m := p.yaml.mapping(n, "mail")
	if m == nil {
		return
	}
	var s catalog.MailServer
	if s.Server = p.secretText(m, "server"); !s.Server.Given() {
		m.required("server", "mail")
	} else if len(s.Server.References) == 0 && !isMailServer(s.Server.Text) {
		p.yaml.mistake(m.values["server"], "write smtp://HOST:PORT, smtp+starttls://HOST:PORT or smtps://HOST:PORT",
			"the mail server's address is not usable")
	} else {
		p.usable(m, "server", s.Server)
	}
	if !m.text("from", &s.From) {
		m.required("from", "mail")
	} else {
		p.emailAddress(m.values["from"], s.From)
	}
	s.User, s.Password = p.secretText(m, "user"), p.secretText(m, "password")
	m.end()
	out.Mail = &s
}

// isMailServer reports whether a text has the form of a mail server's address.
func isMailServer(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && slices.Contains([]string{"smtp", "smtp+starttls", "smtps"}, u.Scheme)
}

func (p notifyParser) emailAddress(n ast.Node, text string) {
	if a, err := mail.ParseAddress(text); err != nil || strings.ContainsAny(a.Address, "\r\n") {
		p.yaml.mistake(n, "write an address as in ops@example.net", "%q is not an e-mail address", text)
	}
}

func (p notifyParser) channel(n ast.Node, out *catalog.Notify) {
	m := p.yaml.mapping(n, "a channel")
	if m == nil {
		return
	}
	var c catalog.Channel
	switch {
	case !m.text("name", &c.Name):
		m.required("name", "a channel")
	case !catalog.ValidName(c.Name):
		p.yaml.mistake(m.values["name"], "use small letters, digits and hyphens, at most 63, not a hyphen first",
			"the channel's name %q is not usable", c.Name)
	case out.Channel(c.Name) != nil:
		p.yaml.mistake(m.values["name"], "give each channel a name of its own", "there are two channels %q", c.Name)
	}
	for _, item := range p.yaml.bounded(m.get("email"), "email addresses", catalog.EmailsMax) {
		if text, ok := p.yaml.text(item, "email"); ok {
			p.emailAddress(item, text)
			c.Email = append(c.Email, text)
		}
	}
	c.Webhook, c.Secret, c.URL = p.secretText(m, "webhook"), p.secretText(m, "secret"), p.secretText(m, "url")
	m.end()
	p.wayOf(m, c, out)
	out.Channels = append(out.Channels, c)
}

// wayOf reports a channel that has no address, or several.
func (p notifyParser) wayOf(m *mapping, c catalog.Channel, out *catalog.Notify) {
	ways := 0
	for _, key := range []string{"email", "webhook", "url"} {
		if _, given := m.values[key]; given {
			ways++
		}
	}
	const mend = "give it one of email, webhook and url"
	switch {
	case ways == 0:
		p.yaml.mistake(m.node, mend, "the channel %s has no address", c.Name)
	case ways > 1:
		p.yaml.mistake(m.node, mend+"; make several channels of it", "the channel %s has several addresses", c.Name)
	case len(c.Email) > 0 && out.Mail == nil:
		p.yaml.mistake(m.values["email"], `add mail: {server: "smtp://127.0.0.1:25", from: status@example.net} to notify`,
			"there is no mail server to send e-mail through")
	case c.Secret.Given() && !c.Webhook.Given():
		p.yaml.mistake(m.values["secret"], "take it out", "only a webhook has a secret")
	}
	if c.Webhook.Given() && len(c.Webhook.References) == 0 {
		p.url(m.values["webhook"], c.Webhook.Text)
	} else {
		p.usable(m, "webhook", c.Webhook)
	}
	if c.URL.Given() && len(c.URL.References) == 0 && !strings.Contains(c.URL.Text, "://") {
		p.yaml.mistake(m.values["url"], "write a service's address as in ntfy://ntfy.sh/topic", "the url has no service")
	} else {
		p.usable(m, "url", c.URL)
	}
	p.usable(m, "secret", c.Secret)
}

func (p notifyParser) route(n ast.Node, out *catalog.Notify) {
	m := p.yaml.mapping(n, "a route")
	if m == nil {
		return
	}
	var r catalog.Route
	if match := m.get("match"); match != nil {
		r.Match = p.match(match)
	}
	r.Channels, r.Fallback = p.channelNames(m, "channels", out), p.channelNames(m, "fallback", out)
	m.duration("after", &r.After, 0, catalog.NotifyDelayMax)
	m.duration("repeat", &r.Repeat, catalog.RepeatMin, catalog.NotifyDelayMax)
	for _, item := range p.yaml.bounded(m.get("escalate"), "steps of escalate", catalog.EscalationsMax) {
		if e := p.yaml.mapping(item, "a step of escalate"); e != nil {
			var step catalog.Escalation
			e.duration("after", &step.After, 0, catalog.NotifyDelayMax)
			e.required("after", "a step of escalate")
			if step.Channels = p.channelNames(e, "channels", out); step.Channels == nil {
				e.required("channels", "a step of escalate")
			}
			e.end()
			r.Escalate = append(r.Escalate, step)
		}
	}
	if quiet := m.get("quiet"); quiet != nil {
		r.Quiet = p.quiet(quiet)
	}
	m.end()
	out.Routes = append(out.Routes, r)
}

// channelNames parses a list of channels, each of which must exist.
func (p notifyParser) channelNames(m *mapping, key string, out *catalog.Notify) (names []string) {
	for _, item := range m.words(key) {
		if out.Channel(item.text) == nil {
			var all []string
			for _, c := range out.Channels {
				all = append(all, c.Name)
			}
			p.yaml.mistake(item.node, oneOf(item.text, all), "there is no channel %q", item.text)
			continue
		}
		names = append(names, item.text)
	}
	return names
}

// oneOf is the mend of a word that is none of a list.
func oneOf(text string, all []string) string {
	if like := nearest(text, all); like != "" {
		return fmt.Sprintf("did you mean %q?", like)
	}
	if len(all) == 0 {
		return "take it out: there is none"
	}
	// A name that is there twice by mistake is listed once.
	var names []string
	for _, name := range all {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return "use one of " + strings.Join(names, ", ")
}
