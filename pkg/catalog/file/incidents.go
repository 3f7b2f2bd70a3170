package file

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// incidents parses how incidents are published, and their templates; nil if the file says nothing.
func (r *reader) incidents(n ast.Node) *catalog.Incidents {
	if n == nil {
		return nil
	}
	m := r.mapping(n, "incidents")
	if m == nil {
		return nil
	}
	out := &catalog.Incidents{}
	var publish string
	if m.text("publish", &publish) {
		delay, ok := publishDelay(publish)
		if !ok {
			r.mistake(m.values["publish"], "write at_once, by_hand, or after and up to an hour, as in after 2m",
				"publish is %q", publish)
		}
		out.Delay = delay
	}
	if templates := m.get("templates"); templates != nil {
		r.templates(templates, out)
	}
	m.end()
	return out
}

func publishDelay(text string) (delay time.Duration, ok bool) {
	switch text {
	case "at_once":
		return 0, true
	case "by_hand":
		return catalog.PublishByHand, true
	}
	after, ok := strings.CutPrefix(text, "after ")
	if !ok {
		return 0, false
	}
	delay, err := time.ParseDuration(strings.TrimSpace(after))
	return delay, err == nil && delay >= 0 && delay <= catalog.PublishDelayMax
}

func (r *reader) templates(n ast.Node, out *catalog.Incidents) {
	items := r.sequence(n, "templates")
	if len(items) > catalog.TemplatesMax {
		r.mistake(n, "keep the most useful ones", "more than %d templates", catalog.TemplatesMax)
		return
	}
	for _, item := range items {
		m := r.mapping(item, "a template")
		if m == nil {
			continue
		}
		var t catalog.Template
		if !m.text("name", &t.Name) {
			m.required("name", "a template")
		} else if !catalog.ValidName(strings.ToLower(t.Name)) {
			r.mistake(m.values["name"], nameMend, "the template's name %q is not usable", t.Name)
		} else if out.Template(t.Name) != nil {
			r.mistake(m.values["name"], "give each template a name of its own", "there are two templates %q", t.Name)
		}
		m.line("title", &t.Title)
		if utf8.RuneCountInString(t.Title) > catalog.TemplateTitleMax || strings.ContainsAny(t.Title, "\r\n") {
			r.mistake(m.values["title"], "write one line of at most 200 characters", "the title of a template is too long")
		}
		if !m.text("text", &t.Text) {
			m.required("text", "a template")
		} else if len(t.Text) > catalog.TemplateTextMax || t.Text == "" {
			r.mistake(m.values["text"], "write Markdown of at most 4 KiB", "the text of a template has %d bytes", len(t.Text))
		}
		m.end()
		out.Templates = append(out.Templates, t)
	}
}
