package catalogs_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/catalogs"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAChangedFileIsPutInForceDespiteFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		file := filepath.Join(w.dir, "catalog.yaml")
		write(t, file, small)
		s, _, stop := w.run(t, catalogs.Config{File: file})
		defer stop()
		w.mu.Lock()
		w.refused = 3
		w.mu.Unlock()
		write(t, file, readdressed(small))
		time.Sleep(30 * time.Second)
		c := s.Current()
		if c.Hosts[0].Addresses[0] != "192.0.2.7" || !slices.Contains(w.current().marks, c.Revision) {
			t.Errorf("in force is %s with address %s; marked are %s", c.Revision, c.Hosts[0].Addresses, w.current().marks)
		}
		if got := w.answered(t).Catalog.Revision; got != c.Revision || !slices.Contains(w.current().notices, c.Revision) {
			t.Errorf("agents get %s and were notified of %s", got, w.current().notices)
		}
		if len(w.current().problems) > 0 {
			t.Errorf("problems that are over: %q", w.current().problems)
		}
		if w.events() != 2 {
			t.Errorf("the ledger has %d events for two catalogs", w.events())
		}
	})
}

func TestARejectedFileChangesNothingAndIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		file := filepath.Join(w.dir, "catalog.yaml")
		write(t, file, "hosts: 7\n")
		var mistakes catalogfile.Mistakes
		if _, _, _, err := w.open(t, catalogs.Config{File: file}); !errors.As(err, &mistakes) {
			t.Fatalf("a wrong catalog and no other to run with: %v", err)
		}
		write(t, file, small)
		s, _, stop := w.run(t, catalogs.Config{File: file})
		before := s.Current()
		write(t, file, "hosts: 7\n")
		check := func(when string) {
			t.Helper()
			time.Sleep(10 * time.Second)
			if s.Current().Revision != before.Revision {
				t.Error(when, "a wrong file changed the catalog")
			}
			if len(w.current().problems) == 0 || !strings.Contains(w.current().problems[0], file+":1:") {
				t.Errorf("%s the problems are %q", when, w.current().problems)
			}
		}
		check("while running")
		stop()
		log := &strings.Builder{}
		s, _, stop = w.run(t, catalogs.Config{File: file, Logger: zerolog.New(log)})
		defer stop()
		check("after a restart")
		write(t, file, small+"\n")
		time.Sleep(10 * time.Second)
		if len(w.current().problems) > 0 {
			t.Errorf("problems that are over: %q", w.current().problems)
		}
		synctest.Wait()
		if strings.Count(log.String(), "catalog rejected") != 1 || !strings.Contains(log.String(), "no longer rejected") {
			t.Errorf("the log does not have the rejection and its end, once each: %s", log)
		}
		_, err := s.Apply(t.Context(), parse(t, readdressed(small)), "test", true)
		if err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("apply beside a file: %v", err)
		}
	})
}

// A file that is cut off before a host that is down must not end its outage: the change waits, or for a confirmation.
func TestAFileThatLosesAnOutageWaits(t *testing.T) {
	half := strings.Replace(small, ", {name: NC2, region: a, address: 192.0.2.2}", "", 1)
	for _, confirmed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			file := filepath.Join(w.dir, "catalog.yaml")
			write(t, file, small)
			warning := ""
			s, _, stop := w.run(t, catalogs.Config{
				File: file, Warn: func(_, text string) { warning = text },
				Snapshot: func() *mesh.Snapshot {
					return &mesh.Snapshot{Hosts: []mesh.HostState{
						{Name: "NC2", Checks: []mesh.CheckState{{Name: "ping", Verdict: mesh.Down}}},
					}}
				},
			})
			defer stop()
			write(t, file+".new", half)
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
			synctest.Wait()
			if len(s.Current().Hosts) != 2 || !strings.Contains(warning, "NC2") || !strings.Contains(warning, "--confirm") {
				t.Errorf("after 20 s %d hosts, warning %q", len(s.Current().Hosts), warning)
			}
			changes, follows, err := s.ApplyFile(t.Context(), file, confirmed)
			if err != nil || !follows || len(changes) == 0 {
				t.Errorf("%v, %t, %v", changes, follows, err)
			}
			if hosts := len(s.Current().Hosts); (hosts == 1) != confirmed {
				t.Errorf("%d hosts after apply with confirm=%t", hosts, confirmed)
			}
			time.Sleep(15 * time.Second)
			synctest.Wait()
			if len(s.Current().Hosts) != 1 || warning != "" {
				t.Errorf("after 35 s %d hosts, warning %q", len(s.Current().Hosts), warning)
			}
		})
	}
}

// A followed file says which renames it made, and what it may have meant otherwise, until it changes again.
func TestAFollowedFileSaysWhatItRenames(t *testing.T) {
	renamed := strings.Replace(small, "name: NC1", "name: MAIL", 1)
	unclear := strings.Replace(strings.Replace(renamed, "name: NC2", "name: WEB", 1), "192.0.2.2", "192.0.2.9", 1)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		file := filepath.Join(w.dir, "catalog.yaml")
		write(t, file, small)
		var mu sync.Mutex
		warnings, log := map[string]string{}, &strings.Builder{}
		warn := func(subject, text string) {
			mu.Lock()
			defer mu.Unlock()
			warnings[subject] = text
		}
		config := catalogs.Config{File: file, Warn: warn, Logger: zerolog.New(log)}
		s, _, stop := w.run(t, config)
		id := s.Current().Hosts[0].ID
		for _, step := range []struct{ text, logged, warned string }{
			{renamed, "MAIL: keeps the history of the host NC1", ""},
			{unclear, "perhaps renamed", ": WEB is new; if it was NC2 before, write was: NC2"},
			{unclear + "\n\n", "", ": WEB is new"}, // another text, and the same catalog
			{strings.Replace(unclear, "192.0.2.9", "192.0.2.8", 1), "", ""},
		} {
			log.Reset()
			write(t, file, step.text)
			time.Sleep(20 * time.Second)
			synctest.Wait()
			mu.Lock()
			warned := warnings["renames"]
			mu.Unlock()
			if !strings.Contains(log.String(), step.logged) || !strings.Contains(warned, step.warned) ||
				(step.warned == "") != (warned == "") || step.warned != "" && !strings.Contains(warned, file+":") {
				t.Errorf("logged %s, and warned %q; wanted %q and %q", log, warned, step.logged, step.warned)
			}
		}
		if s.Current().Host("mail").ID != id {
			t.Error("MAIL has another id")
		}
		stop()
		// A file that changed while the coordinator was off.
		write(t, file, strings.NewReplacer("name: WEB", "name: SHOP", "192.0.2.9", "192.0.2.8").Replace(unclear))
		log.Reset()
		_, _, stop = w.run(t, config)
		defer stop()
		if !strings.Contains(log.String(), "SHOP: keeps the history of the host WEB") {
			t.Errorf("at start: %s", log)
		}
	})
}
