package editorial

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// Bounds of what a person writes.
const (
	titleMax = 200      // characters
	textMax  = 64 << 10 // bytes
	tagsMax  = 10
	hostsMax = 100
)

var label = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

func invalid(format string, args ...any) error {
	return errkind.New(errkind.Invalid, fmt.Sprintf(format, args...))
}

// describe validates a draft and writes all but its text into the event.
func (e *Editor) describe(event *ledger.PostEvent, d Draft) error {
	if err := checkTitle(d.Title); err != nil {
		return errkind.In("title", err)
	}
	if err := checkText(d.Text); err != nil {
		return errkind.In("text", err)
	}
	var err error
	if event.Tags, event.Category, err = checkLabels(d.Tags, d.Category); err != nil {
		return err
	}
	return errkind.In("hosts", e.findHosts(event, d.Hosts))
}

// checkLabels returns tags and a category as they are stored.
func checkLabels(tags []string, category string) (stored []string, storedCategory string, err error) {
	if len(tags) > tagsMax {
		return nil, "", errkind.In("tags", invalid("%d tags: an entry has at most %d", len(tags), tagsMax))
	}
	for _, tag := range tags {
		tag = strings.ToLower(tag)
		if !label.MatchString(tag) {
			return nil, "", errkind.In("tags",
				invalid("tag %q: write 1 to 40 of a-z, 0-9 and -, as in smtp or planned-work", tag))
		}
		if !slices.Contains(stored, tag) {
			stored = append(stored, tag)
		}
	}
	storedCategory = strings.ToLower(category)
	if category != "" && !label.MatchString(storedCategory) {
		return nil, "", errkind.In("category",
			invalid("category %q: write 1 to 40 of a-z, 0-9 and -, as in mail", category))
	}
	return stored, storedCategory, nil
}

func checkTitle(title string) error {
	switch n := utf8.RuneCountInString(title); {
	case strings.TrimSpace(title) == "":
		return invalid("the title is empty: write one line of at most %d characters", titleMax)
	case n > titleMax:
		return invalid("the title has %d characters: write at most %d", n, titleMax)
	case !utf8.ValidString(title) || strings.ContainsFunc(title, unicode.IsControl):
		return invalid("the title is not one line of UTF-8 text")
	}
	return nil
}

func checkText(text string) error {
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }
	switch {
	case strings.TrimSpace(text) == "":
		return invalid("the text is empty: write Markdown of at most %d KiB", textMax>>10)
	case len(text) > textMax:
		return invalid("the text has %d bytes: write at most %d", len(text), textMax)
	case !utf8.ValidString(text):
		return invalid("the text is not UTF-8: save it in that encoding")
	case strings.ContainsFunc(text, control):
		return invalid("the text has control characters: write plain Markdown")
	}
	return nil
}

// findHosts writes the ids of the named hosts into the event.
func (e *Editor) findHosts(event *ledger.PostEvent, names []string) error {
	if len(names) > hostsMax {
		return invalid("%d hosts: a post names at most %d", len(names), hostsMax)
	}
	c := e.config.Catalog()
	for _, name := range names {
		h := c.HostOnceNamed(name)
		if h == nil {
			return errkind.New(errkind.NotFound, fmt.Sprintf("host %q is not in the catalog: `coordinator status` lists them",
				name))
		}
		if id := h.Identity(); !slices.Contains(event.Hosts, id) {
			event.Hosts = append(event.Hosts, id)
		}
	}
	return nil
}
