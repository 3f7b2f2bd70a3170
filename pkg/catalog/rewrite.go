package catalog

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Rewritten says what WithoutValues replaced.
type Rewritten struct {
	References int // texts that are now those of the current catalog, with references
	Marks      int // texts whose value the current catalog does not have
	// Values are the literal values that were replaced. They may be repeated elsewhere, as in what a server answered.
	Values []string
}

// WithoutValues returns the catalog without the secrets that its checks may hold in the clear, as those of versions
// before references do. A text of a check that may hold one becomes what the current catalog has for the same key of
// the same check, if that has references. It stays if the current catalog holds the same literal text, which is then no
// secret. Otherwise mark replaces its secret parts: of a URL the user, the path and the query, of other texts all.
// Revision, ids, names and addresses stay.
func (c *Catalog) WithoutValues(current *Catalog, mark func(value string) string) (*Catalog, Rewritten) {
	out, done := *c, Rewritten{}
	out.Hosts = slices.Clone(c.Hosts)
	for i := range out.Hosts {
		h := &out.Hosts[i]
		h.Checks = slices.Clone(h.Checks)
		for k := range h.Checks {
			if h.Checks[k].Options != nil {
				done.rewrite(&h.Checks[k], current.counterpart(h, &h.Checks[k]), mark)
			}
		}
	}
	return &out, done
}

// counterpart returns the catalog's check that is the same as the one of another revision, or nil.
func (c *Catalog) counterpart(h *Host, check *Check) *Check {
	own := c.HostByID(h.Identity())
	if own == nil {
		own = c.HostOnceNamed(h.Name)
	}
	if own == nil {
		return nil
	}
	found := own.CheckByID(h.IdentityOf(check))
	if found == nil {
		found = own.Check(check.Name)
	}
	if found == nil {
		found = c.FormerCheck(own, check.Name)
	}
	if found == nil || found.Kind != check.Kind || found.Options == nil {
		return nil
	}
	return found
}

// rewrite replaces the values in a check.
func (d *Rewritten) rewrite(check, current *Check, mark func(string) string) {
	before := *check
	check.Secrets = slices.Clone(check.Secrets)
	present := map[string]string{}
	if current != nil {
		present = textsOf(current.Options)
	}
	next, err := before.Options.withTexts(func(key, text string) (string, error) {
		switch {
		case text == "" || before.refers(key) || current != nil && !current.refers(key) && present[key] == text:
			return text, nil
		case current == nil || !current.refers(key):
			marked := markText(key, text, func(value string) string {
				d.Values = append(d.Values, value)
				return mark(value)
			})
			if marked != text {
				d.Marks++
			}
			return marked, nil
		}
		d.References++
		d.Values = append(d.Values, valuesOf(present[key], text)...)
		for _, r := range current.Secrets {
			if r.Key == key {
				check.Secrets = append(check.Secrets, r)
			}
		}
		return present[key], nil
	})
	if err == nil { // which the function never returns
		check.Options = next
	}
}

// markText marks the parts of a text that may be a secret.
func markText(key, text string, mark func(string) string) string {
	if key != "url" {
		return mark(text)
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return mark(text)
	}
	if u.User != nil {
		name := u.User.Username()
		if password, set := u.User.Password(); set {
			u.User = url.UserPassword(mark(name), mark(password))
		} else {
			u.User = url.User(mark(name))
		}
	}
	if u.Path != "" && u.Path != "/" {
		parts := strings.Split(u.EscapedPath(), "/")
		for i, part := range parts {
			if part != "" {
				parts[i] = mark(part)
			}
		}
		u.Path, u.RawPath = strings.Join(parts, "/"), ""
	}
	if u.RawQuery != "" {
		pairs := strings.Split(u.RawQuery, "&")
		for i, pair := range pairs {
			if name, value, given := strings.Cut(pair, "="); given {
				pairs[i] = name + "=" + mark(value)
			} else {
				pairs[i] = mark(pair)
			}
		}
		u.RawQuery = strings.Join(pairs, "&")
	}
	if u.Fragment != "" {
		u.Fragment, u.RawFragment = mark(u.Fragment), ""
	}
	return u.String()
}

// valuesOf returns the values that make a text with references the literal one; all of the literal text if none do.
func valuesOf(text, literal string) []string {
	if strings.HasPrefix(text, "file:") {
		return []string{literal}
	}
	pattern := referencePattern(text, `(.*)`)
	if found := pattern.FindStringSubmatch(literal); found != nil {
		return found[1:]
	}
	return []string{literal}
}

// referencePattern matches the literal texts that a text with references may become.
func referencePattern(text, value string) *regexp.Regexp {
	var pattern strings.Builder
	pattern.WriteString(`(?s)^`)
	last := 0
	for _, at := range escapes.FindAllStringIndex(text, -1) {
		pattern.WriteString(regexp.QuoteMeta(text[last:at[0]]))
		if text[at[0]:at[1]] == "$$" {
			pattern.WriteString(`\$`)
		} else {
			pattern.WriteString(value)
		}
		last = at[1]
	}
	pattern.WriteString(regexp.QuoteMeta(text[last:]) + `$`)
	return regexp.MustCompile(pattern.String()) // quoted parts and known groups are always valid
}
