package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// The file's own clock is not the test's.
	if err := os.Chtimes(file, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
}

const small = `
regions: [{name: a, city: A, country: NL, latitude: 1, longitude: 1}]
hosts: [{name: NC1, region: a, address: 192.0.2.1}]
`

func TestAFileIsPutInForceDespiteTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		file := filepath.Join(w.dir, "catalog.yaml")
		write(t, file, small)
		e, stop := w.run(t, node.CoreConfig{CatalogFile: file})
		time.Sleep(5 * time.Second)
		w.mu.Lock()
		w.refused[bus.CatalogMark] = 3
		w.mu.Unlock()
		write(t, file, strings.ReplaceAll(small, "192.0.2.1", "192.0.2.7"))
		time.Sleep(30 * time.Second)
		c, s := e.Engine.Current()
		if c.Hosts[0].Addresses[0] != "192.0.2.7" || s.Revision != c.Revision {
			t.Errorf("the judge works by %s, in force is %s with address %s", s.Revision, c.Revision, c.Hosts[0].Addresses)
		}
		if p := e.Health.Problems(); slices.ContainsFunc(p, func(p string) bool { return strings.Contains(p, file) }) {
			t.Errorf("problems that are over: %q", p)
		}
		if len(w.records) != 2 {
			t.Errorf("the ledger has %d events for two catalogs", len(w.records))
		}
		end(t, stop)
	})
}

func TestAWrongFileChangesNothingAndIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		file := filepath.Join(w.dir, "catalog.yaml")
		write(t, file, "hosts: 7\n")
		var mistakes catalog.Mistakes
		if _, _, err := w.open(t, node.CoreConfig{CatalogFile: file}); !errors.As(err, &mistakes) {
			t.Fatalf("a wrong catalog with nothing to go on with: %v", err)
		}
		write(t, file, small)
		e, stop := w.run(t, node.CoreConfig{CatalogFile: file})
		time.Sleep(5 * time.Second)
		before, _ := e.Engine.Current()
		write(t, file, "hosts: 7\n")
		time.Sleep(5 * time.Second)
		check := func() {
			t.Helper()
			if after, _ := e.Engine.Current(); after.Revision != before.Revision {
				t.Error("a wrong file changed the catalog")
			}
			if p := e.Health.Problems(); len(p) == 0 || !strings.Contains(p[0], file+":1:") {
				t.Errorf("problems %q", p)
			}
		}
		check()
		end(t, stop)
		e, stop = w.run(t, node.CoreConfig{CatalogFile: file})
		time.Sleep(5 * time.Second)
		check()
		write(t, file, small+"\n")
		time.Sleep(5 * time.Second)
		if p := e.Health.Problems(); len(p) > 0 {
			t.Errorf("problems that are over: %q", p)
		}
		if _, err := e.Catalogs.Apply(t.Context(), newCatalog(t), "test", true); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("apply beside a file: %v", err)
		}
		end(t, stop)
	})
}
