package catalog

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Incidents is how measured incidents are published, and what people start from when they write one.
type Incidents struct {
	// Delay is how long after a measured incident opened the public sees it; PublishByHand: once somebody publishes it.
	Delay     time.Duration `json:"delay,omitempty"`
	Templates []Template    `json:"templates,omitempty"` // in the order of the file
}

// PublishByHand is the delay of incidents that wait until somebody publishes them.
const PublishByHand time.Duration = -1

// Template is a text to start from.
type Template struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
	Text  string `json:"text"` // Markdown
}

// Bounds of incidents.
const (
	TemplatesMax     = 100
	TemplateTitleMax = 200       // characters
	TemplateTextMax  = 4096      // bytes, which is what a text of a catalog may have
	PublishDelayMax  = time.Hour // later, the public would read of an outage elsewhere
)

// IncidentsOr returns how incidents are published: at once unless the catalog says otherwise.
func (c *Catalog) IncidentsOr() Incidents {
	if c == nil || c.Incidents == nil {
		return Incidents{}
	}
	return *c.Incidents
}

// Template returns the template of this name, or nil.
func (i Incidents) Template(name string) *Template {
	for n := range i.Templates {
		if strings.EqualFold(i.Templates[n].Name, name) {
			return &i.Templates[n]
		}
	}
	return nil
}

func (i Incidents) bounded() error {
	if i.Delay != PublishByHand && (i.Delay < 0 || i.Delay > PublishDelayMax) || len(i.Templates) > TemplatesMax {
		return fmt.Errorf("a delay of %v or %d templates are out of bounds", i.Delay, len(i.Templates))
	}
	for n, t := range i.Templates {
		if !ValidName(strings.ToLower(t.Name)) || t.Text == "" || len(t.Text) > TemplateTextMax ||
			utf8.RuneCountInString(t.Title) > TemplateTitleMax || i.Template(t.Name) != &i.Templates[n] {
			return fmt.Errorf("the template %q is invalid or given twice", t.Name)
		}
	}
	return nil
}
