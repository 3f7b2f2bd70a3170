package catalogs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/regularfile"
	"github.com/probemesh/probemesh/pkg/schedule"
	"github.com/probemesh/probemesh/pkg/secret"
)

// secretSource is the source of a revision in which only the value of a secret is new.
const secretSource = "secret changed"

// ReadSecret reads the value of a reference, "${NAME}" or "file:PATH". The newline at a file's end is not part of the
// value.
func ReadSecret(reference string, getenv func(string) (string, bool)) (secret.Text, error) {
	path, isFile := catalog.Reference{Name: reference}.Path()
	if !isFile {
		name := strings.TrimSuffix(strings.TrimPrefix(reference, "${"), "}")
		value, set := getenv(name)
		switch {
		case !set:
			return secret.Text{}, fmt.Errorf("the environment has no variable %s", name)
		case len(value) > secret.Max:
			return secret.Text{}, fmt.Errorf("the variable %s has more than %d bytes", name, secret.Max)
		}
		return secret.New(value), nil
	}
	text, _, err := regularfile.Read(path, secret.Max)
	if err != nil {
		return secret.Text{}, fmt.Errorf("the secret's file cannot be read: %w", err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if value == "" {
		return secret.Text{}, fmt.Errorf("the secret's file %s is empty", path)
	}
	return secret.New(value), nil
}

// vault holds the secrets of the catalog in force, in memory alone. It is safe for concurrent use.
type vault struct {
	getenv    func(string) (string, bool)
	digestKey []byte
	warn      func(subject, text string)

	mu      sync.Mutex
	values  map[string]secret.Text // by the names of their references
	needs   map[string][]string    // names of the references that an agent probes with, by agent
	catalog *catalog.Catalog       // which the values are of
	keyless map[string]time.Time   // when agents that need secrets asked for none
}

// read reads the values of a catalog's references by name, and why others have none.
func (v *vault) read(c *catalog.Catalog) (values map[string]secret.Text, failures []string) {
	values = map[string]secret.Text{}
	for _, name := range c.References() {
		value, err := ReadSecret(name, v.getenv)
		if err != nil {
			failures = append(failures, err.Error())
			continue
		}
		values[name] = value
	}
	return values, failures
}

// withDigests returns the catalog with the digests of the present values.
func (v *vault) withDigests(c *catalog.Catalog) *catalog.Catalog {
	values, _ := v.read(c)
	digests := map[string]string{}
	for name, value := range values {
		digests[name] = secret.Digest(v.digestKey, name, value)
	}
	return c.WithDigests(digests)
}

// use reads the secrets of a catalog, and reports whether one arrived that had no value. A value that cannot be read
// any more stays: the server still wants it.
func (v *vault) use(c *catalog.Catalog) (arrived bool) {
	values, failures := v.read(c)
	v.warnFailures(failures)
	agents := needs(c)
	v.mu.Lock()
	defer v.mu.Unlock()
	kept := map[string]secret.Text{}
	for _, name := range c.References() {
		value, read := values[name]
		before, had := v.values[name]
		if !read {
			value = before
		}
		if read || had {
			kept[name] = value
		}
		arrived = arrived || read && !had
	}
	v.values, v.needs, v.catalog = kept, agents, c
	maps.DeleteFunc(v.keyless, func(agent string, _ time.Time) bool { return agents[agent] == nil })
	return arrived
}

// needs returns which agents run checks with secrets, and the references of those.
func needs(c *catalog.Catalog) map[string][]string {
	out, chooser := map[string][]string{}, schedule.NewChooser(c)
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for k := range h.Checks {
			if len(h.Checks[k].Secrets) == 0 {
				continue
			}
			for _, agent := range chooser.Observers(h, &h.Checks[k]) {
				for _, r := range h.Checks[k].Secrets {
					if !slices.Contains(out[agent], r.Name) {
						out[agent] = append(out[agent], r.Name)
					}
				}
			}
		}
	}
	return out
}

// Resolver returns what resolves a text of a section that stays on coordinators, with the present values of its
// secrets.
func Resolver(s *Store) func(catalog.SecretText) (secret.Text, error) { return s.secrets.resolve }

func (v *vault) resolve(t catalog.SecretText) (secret.Text, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return t.Resolve(v.values)
}

// of returns the values that an agent needs; nil if it runs no check with secrets.
func (v *vault) of(agent string) map[string]secret.Text {
	v.mu.Lock()
	defer v.mu.Unlock()
	names := v.needs[agent]
	if len(names) == 0 {
		return nil
	}
	out := make(map[string]secret.Text, len(names))
	for _, name := range names {
		if value, ok := v.values[name]; ok {
			out[name] = value
		}
	}
	return out
}

const (
	// keylessFor is how long an agent that asked for no secrets is named without asking again.
	keylessFor = 10 * time.Minute
	// keylessMax bounds the agents that a warning names.
	keylessMax = 20
)

// noteSealKey records whether an agent that needs secrets asks for them. One that does not is too old, and reports the
// checks as inconclusive: it sees a kind that it does not know.
func (v *vault) noteSealKey(agent string, has bool) {
	v.mu.Lock()
	now := time.Now()
	if delete(v.keyless, agent); !has {
		v.keyless[agent] = now
	}
	maps.DeleteFunc(v.keyless, func(_ string, asked time.Time) bool { return now.Sub(asked) > keylessFor })
	names := slices.Sorted(maps.Keys(v.keyless))
	for i, name := range names {
		names[i] = v.catalog.HostName(name)
	}
	v.mu.Unlock()
	v.warn("old agents", keylessText(names))
}

func keylessText(agents []string) string {
	if len(agents) == 0 {
		return ""
	}
	list := strings.Join(agents[:min(len(agents), keylessMax)], ", ")
	if more := len(agents) - keylessMax; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return "agents too old to receive secrets abstain on checks with secrets; upgrade them: " + list
}

// warnFailures warns of secrets that cannot be read.
func (v *vault) warnFailures(failures []string) {
	text := ""
	if len(failures) > 0 {
		more := ""
		if n := len(failures) - 1; n > 0 {
			more = fmt.Sprintf(" (and %d more)", n)
		}
		text = "a secret of the catalog cannot be read; without an earlier value, agents abstain on its checks: " +
			failures[0] + more
	}
	v.warn("secrets", text)
}

// secretWatcher puts changed values of secrets' files in force. Variables cannot change while the program runs.
type secretWatcher struct{ *Store }

func (s secretWatcher) run(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var pending string // the revision that the values of the round before would make
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		s.mu.Lock()
		before, facing := s.current, s.faced.catalog
		s.mu.Unlock()
		if !slices.ContainsFunc(before.References(), func(r string) bool { return strings.HasPrefix(r, "file:") }) {
			continue
		}
		next := s.secrets.withDigests(before)
		switch now := time.Now(); {
		case next.Revision == before.Revision:
			pending = ""
			if s.secrets.use(facing) { // a value is readable again
				_ = s.announce(ctx, before) // without it, agents ask for it within a minute
			}
		case next.Revision != pending: // a file that is written in place may be half of the value
			pending, since = next.Revision, now
		case now.Sub(since) >= settleFor:
			s.rotate(ctx, before, next)
		}
	}
}

// rotate puts a catalog in force in which only digests differ.
func (s secretWatcher) rotate(ctx context.Context, before, next *catalog.Catalog) {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.Current() != before {
		return // another change came first, with the new values
	}
	if err := s.activate(ctx, next, secretSource); err != nil {
		s.config.Logger.Error().Err(err).Msg("changed secret not put in force; retrying")
	}
}
