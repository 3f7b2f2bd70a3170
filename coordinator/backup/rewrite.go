package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/secret"
)

// Rewritten says what a restore without secrets replaced.
type Rewritten struct {
	Catalogs     int // revisions that held values
	References   int // texts that are now those of the current catalog
	Marks        int // texts whose values the current catalog does not have
	Reports      int // transitions that repeated a value
	Observations int // messages of OBS that repeated a value, which were erased
}

// valueMin is the shortest value that is looked for in reports: a shorter one would be found in other words.
const valueMin = 6

// rewriter removes the secrets of earlier versions from the streams.
type rewriter struct {
	current *catalog.Catalog // nil: the newest that the ledger has
	key     []byte           // of the marks; it is forgotten, so that no mark can be guessed
	values  map[string]bool
	newest  ledger.CatalogEvent // of the ledger
	done    Rewritten
}

// rewriteSecrets removes the secrets that catalogs of earlier versions hold, and what repeats them. The directory holds
// the ledger meanwhile. It returns the event that puts the current catalog in force; nil if the ledger's newest one may
// stay.
func rewriteSecrets(
	ctx context.Context, s *server.Streams, current *catalog.Catalog, dir string,
) (Rewritten, *ledger.CatalogEvent, error) {
	w := rewriter{current: current, key: make([]byte, 32), values: map[string]bool{}}
	if _, err := rand.Read(w.key); err != nil {
		return w.done, nil, err
	}
	if err := w.collect(ctx, s); err != nil || len(w.values) == 0 {
		return w.done, nil, err
	}
	if err := s.Rewrite(ctx, "LEDGER", filepath.Join(dir, "ledger-rewritten"), w.rewrite); err != nil {
		return w.done, nil, err
	}
	erased, err := s.EraseMatching(ctx, "OBS", w.repeats)
	if w.done.Observations = erased; err != nil || current == nil {
		return w.done, nil, err
	}
	return w.done, w.inForce(time.Now()), nil
}

// inForce returns the event that puts the current catalog in force: checks of the newest one of the ledger may have
// marks now, and must not run.
func (w *rewriter) inForce(now time.Time) *ledger.CatalogEvent {
	at := now.Add(w.newest.Offset).UTC()
	if at.Before(w.newest.Mesh) {
		at = w.newest.Mesh
	}
	return &ledger.CatalogEvent{
		Source: "restore --rewrite-secrets", Catalog: w.current, Mesh: at, Offset: w.newest.Offset,
	}
}

// collect reads all catalogs, to know the values before the events that repeat them are rewritten.
func (w *rewriter) collect(ctx context.Context, s *server.Streams) error {
	var all []*catalog.Catalog
	err := s.Each(ctx, "LEDGER", func(subject string, at time.Time, data []byte) error {
		if !isCatalog(subject) {
			return nil
		}
		var e ledger.CatalogEvent
		if err := json.Unmarshal(data, &e); err != nil || e.Catalog == nil {
			return fmt.Errorf("read a catalog of the ledger: %w", err)
		}
		e.Mesh = e.At(ledger.Record{Time: at})
		w.newest, all = e, append(all, e.Catalog)
		return nil
	})
	if err != nil || len(all) == 0 {
		return err
	}
	if w.current == nil {
		w.current = w.newest.Catalog
	} else {
		known, err := catalog.Identify(w.newest.Catalog, w.current) // by former names, too
		if err != nil {
			return fmt.Errorf("the catalog of --rewrite-secrets does not follow that of the backup: %w", err)
		}
		w.current = known.Catalog
	}
	for _, c := range all {
		w.withoutValues(c)
	}
	return nil
}

func isCatalog(subject string) bool { return strings.HasSuffix(subject, ".led.catalog") }

// withoutValues removes the values from a catalog, and remembers them.
func (w *rewriter) withoutValues(c *catalog.Catalog) (*catalog.Catalog, catalog.Rewritten) {
	out, done := c.WithoutValues(w.current, func(value string) string {
		return "removed-" + secret.Digest(w.key, "", secret.New(value))[:12]
	})
	for _, value := range done.Values {
		w.values[value] = true
	}
	return out, done
}

// rewrite returns an event without values.
func (w *rewriter) rewrite(subject string, at time.Time, data []byte) ([]byte, error) {
	if isCatalog(subject) {
		return w.rewriteCatalog(at, data)
	}
	data, err := withMeshTime(subject, at, data)
	if err != nil || !w.repeats(data) {
		return data, err
	}
	var event any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // nanoseconds do not fit into a float64
	if err := d.Decode(&event); err != nil {
		return nil, fmt.Errorf("read an event of the ledger: %w", err)
	}
	w.done.Reports++
	return json.Marshal(w.redact("", event))
}

func (w *rewriter) rewriteCatalog(at time.Time, data []byte) ([]byte, error) {
	var e ledger.CatalogEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("read a catalog of the ledger: %w", err)
	}
	clean, done := w.withoutValues(e.Catalog)
	if done.References+done.Marks > 0 {
		w.done.Catalogs++
	}
	w.done.References += done.References
	w.done.Marks += done.Marks
	e.Catalog = clean
	e.Mesh = e.At(ledger.Record{Time: at}) // the stream's time is lost
	return json.Marshal(e)
}

// withMeshTime gives an enrolment of an early version, which has no time of its own, that of the stream.
func withMeshTime(subject string, at time.Time, data []byte) ([]byte, error) {
	if !strings.Contains(subject, ".led.agent.") {
		return data, nil
	}
	var e ledger.AgentEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("read an enrolment of the ledger: %w", err)
	}
	if !e.Mesh.IsZero() {
		return data, nil
	}
	e.Mesh = at
	return json.Marshal(e)
}

// repeats reports whether the data of a message has one of the values.
func (w *rewriter) repeats(data []byte) bool {
	for value := range w.values {
		if len(value) >= valueMin && (bytes.Contains(data, []byte(value)) || bytes.Contains(data, inJSON(value))) {
			return true
		}
	}
	return false
}

// inJSON returns a value as a string of JSON has it.
func inJSON(value string) []byte {
	quoted, err := json.Marshal(value)
	if err != nil {
		return []byte(value)
	}
	return bytes.Trim(quoted, `"`)
}

// reports are the keys of an event whose texts quote agents and servers. Names and ids have other keys, and stay.
var reports = []string{"sentence", "cause", "why", "reason", "rule", "advisories"}

// redact replaces the values in the reports of an event.
func (w *rewriter) redact(key string, event any) any {
	switch v := event.(type) {
	case map[string]any:
		for k := range v {
			v[k] = w.redact(k, v[k])
		}
	case []any:
		for i := range v {
			v[i] = w.redact(key, v[i])
		}
	case string:
		if !slices.Contains(reports, key) {
			return v
		}
		for value := range w.values {
			if len(value) >= valueMin {
				v = strings.ReplaceAll(v, value, "[secret]")
			}
		}
		return v
	}
	return event
}
