package catalog

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/secret"
)

// Reference is a part of a check that the catalog names and does not hold: a secret. The text of the key then has
// ${NAME} where the value belongs and $$ for a dollar sign, or is file:PATH as a whole. The text of a key without a
// reference is literal.
type Reference struct {
	Key  string `json:"key"`  // of the check's options: "url"
	Name string `json:"name"` // as the text spells it: "${TOKEN}", "file:/etc/probemesh/token"
	// Digest is the secret.Digest of the value; empty where no coordinator has read the value yet. A change of the
	// value changes the catalog's revision by it, and is not another question.
	Digest string `json:"digest,omitempty"`
}

// SecretsMax bounds the references of one check.
const SecretsMax = 16

// secretsSuffix follows the kind of a check with references in JSON. A program that knows no references sees a kind
// that it does not know, and reports the check as inconclusive: it must not probe with the text "${TOKEN}".
const secretsSuffix = "+secrets"

// resolvedMax bounds a text in bytes after its references are replaced.
const resolvedMax = 16 << 10

var (
	// escapes are what is replaced in a text with references.
	escapes       = regexp.MustCompile(`\$\$|\$\{[A-Za-z_][A-Za-z0-9_]*\}`)
	referenceName = regexp.MustCompile(`^(\$\{[A-Za-z_][A-Za-z0-9_]{0,127}\}|file:/[^\x00-\x1f]{1,1000})$`)
	digestPattern = regexp.MustCompile(`^[0-9a-f]*$`)
)

// ValidReference reports whether the text can be the name of a reference: "${NAME}" with at most 128 characters in the
// name, or "file:" and an absolute path with at most 1000 characters after its first slash.
func ValidReference(name string) bool { return referenceName.MatchString(name) }

// Path returns the path of a reference to a file.
func (r Reference) Path() (path string, ok bool) { return strings.CutPrefix(r.Name, "file:") }

// References lists the names of all references in the catalog, each once, in its order.
func (c *Catalog) References() (names []string) {
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for i := range c.Hosts {
		for k := range c.Hosts[i].Checks {
			for _, r := range c.Hosts[i].Checks[k].Secrets {
				add(r.Name)
			}
		}
	}
	for _, t := range c.coordinatorTexts() {
		for _, name := range t.References {
			add(name)
		}
	}
	return names
}

// WithDigests returns the catalog with these digests of its references, by name; a name without one keeps what it has.
// The result is the catalog itself where nothing changes, and a sealed copy otherwise.
func (c *Catalog) WithDigests(digests map[string]string) *Catalog {
	out, changed := *c, false
	out.Hosts = slices.Clone(c.Hosts)
	for i := range out.Hosts {
		checks := slices.Clone(out.Hosts[i].Checks)
		for k := range checks {
			checks[k].Secrets = slices.Clone(checks[k].Secrets)
			for n := range checks[k].Secrets {
				r := &checks[k].Secrets[n]
				if digest := digests[r.Name]; digest != "" && digest != r.Digest {
					r.Digest, changed = digest, true
				}
			}
		}
		out.Hosts[i].Checks = checks
	}
	if !changed {
		return c
	}
	Seal(&out)
	return &out
}

// ForAgents returns what agents get of the catalog. Every field is named here, so that a new one stays with the
// coordinators until it is added. Digests are left out: agents get the values that they need, sealed.
func (c *Catalog) ForAgents() *Catalog {
	out := &Catalog{
		Revision: c.Revision, Page: Page{Title: c.Page.Title, URL: c.Page.URL, Links: c.Page.Links},
		Regions: c.Regions, Hosts: slices.Clone(c.Hosts), Rule: c.Rule,
	}
	for i := range out.Hosts {
		checks := slices.Clone(out.Hosts[i].Checks)
		for k := range checks {
			checks[k].Secrets = slices.Clone(checks[k].Secrets)
			for n := range checks[k].Secrets {
				checks[k].Secrets[n].Digest = ""
			}
			checks[k].Needs = nil
		}
		out.Hosts[i].Checks, out.Hosts[i].Needs = checks, nil
	}
	return out
}

// credentialKeys are the keys of options that hold nothing but credentials.
var credentialKeys = []string{"user", "password", "bearer"}

// CredentialReferences returns the references in the check's credentials, as a catalog's file would have them: by hand,
// other keys hold no references.
func (c *Check) CredentialReferences() (out []Reference) {
	texts := textsOf(c.Options)
	for _, key := range credentialKeys {
		if strings.HasPrefix(texts[key], "file:/") {
			out = append(out, Reference{Key: key, Name: texts[key]})
			continue
		}
		for _, name := range escapes.FindAllString(texts[key], -1) {
			if r := (Reference{Key: key, Name: name}); name != "$$" && !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}

// MissingSecretError reports a reference whose value is not known here.
type MissingSecretError struct{ Name string }

// Error names the reference.
func (e *MissingSecretError) Error() string { return "the value of " + e.Name + " has not arrived" }

// Resolve returns the check's options with the values of its references, by name. The result is for the probe alone:
// what people read is made from the options with references. Its errors contain no value.
func (c *Check) Resolve(values map[string]secret.Text) (Options, error) {
	if len(c.Secrets) == 0 || c.Options == nil {
		return c.Options, nil
	}
	resolved, err := c.Options.withTexts(func(key, text string) (string, error) {
		if !c.refers(key) {
			return text, nil
		}
		return replace(text, values)
	})
	if err != nil {
		return nil, err
	}
	if resolved.validate() != nil || !sameServer(c.Options, resolved) {
		return nil, errors.New("the check is not valid with the values of its secrets")
	}
	return resolved, nil
}

// refers reports whether the text of the key has references.
func (c *Check) refers(key string) bool {
	return slices.ContainsFunc(c.Secrets, func(r Reference) bool { return r.Key == key })
}

// replace returns the text with values in place of references.
func replace(text string, values map[string]secret.Text) (string, error) {
	var missing string
	value := func(name string) string {
		v, known := values[name]
		if !known {
			missing = name
		}
		return v.Reveal()
	}
	out := ""
	if strings.HasPrefix(text, "file:") {
		out = value(text)
	} else {
		out = escapes.ReplaceAllStringFunc(text, func(m string) string {
			if m == "$$" {
				return "$"
			}
			return value(m)
		})
	}
	switch {
	case missing != "":
		return "", &MissingSecretError{missing}
	case len(out) > resolvedMax:
		return "", fmt.Errorf("a text is longer than %d bytes with the values of its secrets", resolvedMax)
	}
	return out, nil
}

// sameServer reports whether both ask the same server: a secret chooses no address.
func sameServer(a, b Options) bool {
	x, isHTTP := a.(HTTP)
	y, _ := b.(HTTP)
	if !isHTTP {
		return true
	}
	u, _, _, err := address.ParseURL(x.URL)
	v, _, _, err2 := address.ParseURL(y.URL)
	return errors.Join(err, err2) == nil && u.Scheme == v.Scheme && u.Host == v.Host
}

// secretsBounded checks the references of a check.
func (c *Check) secretsBounded() error {
	if len(c.Secrets) > SecretsMax {
		return fmt.Errorf("%d secrets, more than %d", len(c.Secrets), SecretsMax)
	}
	texts := textsOf(c.Options)
	for _, r := range c.Secrets {
		if !ValidReference(r.Name) || !strings.Contains(texts[r.Key], r.Name) ||
			len(r.Digest) > secret.DigestSize || !digestPattern.MatchString(r.Digest) {
			return fmt.Errorf("an invalid reference to a secret in %q", r.Key)
		}
	}
	return nil
}

// textsOf returns the options' texts that may have references, by key.
func textsOf(o Options) map[string]string {
	texts := map[string]string{}
	if o != nil {
		_, _ = o.withTexts(func(key, text string) (string, error) { texts[key] = text; return text, nil })
	}
	return texts
}

// sameOptions compares the options of two checks and their references, without digests. A check of the previous version
// holds values where this one has references: it asks the same if its texts could come from those with references, so
// that an upgrade does not reset a check that is down.
func sameOptions(a, b *Check) bool {
	if a.Options == nil || b.Options == nil {
		return a.Options == nil && b.Options == nil
	}
	x, errA := withLiterals(a, b)
	y, errB := withLiterals(b, a)
	return errors.Join(errA, errB) == nil && reflect.DeepEqual(questionOf(x), questionOf(y))
}

// withLiterals returns the options of a check with the texts of another one where that has no references and its text
// could be the value of this one.
func withLiterals(c, other *Check) (Options, error) {
	if len(c.Secrets) == 0 {
		return c.Options, nil
	}
	literal := textsOf(other.Options)
	return c.Options.withTexts(func(key, text string) (string, error) {
		if c.refers(key) && !other.refers(key) && couldBecome(text, literal[key]) {
			return literal[key], nil
		}
		return text, nil
	})
}

// couldBecome reports whether the text with references is the literal one for some values.
func couldBecome(text, literal string) bool {
	if strings.HasPrefix(text, "file:") {
		return true
	}
	return referencePattern(text, `.*`).MatchString(literal)
}
