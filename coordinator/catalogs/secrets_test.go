package catalogs_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/coordinator/catalogs"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/secret"
	"github.com/probemesh/probemesh/pkg/wire"
)

// sealed returns the secrets that an agent gets.
func (w *world) sealed(t *testing.T, agent string) map[string]secret.Text {
	t.Helper()
	key, err := bus.NewOpenKey()
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	answer := w.answer
	w.mu.Unlock()
	got, err := wire.DecodeAnswer(answer(agent, &key.Public))
	if err != nil {
		t.Fatal(err)
	}
	if got.Sealed == nil {
		return nil
	}
	plain, err := key.Open(got.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	values, err := wire.DecodeSecrets(plain)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// stored reports whether the text is anywhere in the ledger or on a mark.
func (w *world) stored(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.records {
		if strings.Contains(string(r.Data), text) {
			return true
		}
	}
	return strings.Contains(strings.Join(w.effects.marks, " "), text)
}

// warningLog holds the latest warning of each subject. The store and the answers to agents warn from their own
// goroutines.
type warningLog struct{ bySubject sync.Map }

func (l *warningLog) set(subject, text string) { l.bySubject.Store(subject, text) }

func (l *warningLog) get(subject string) string {
	text, _ := l.bySubject.Load(subject)
	s, _ := text.(string)
	return s
}

// withSecret is a catalog whose only check with a secret is of NC1, which NC2 probes.
func withSecret(file string) string {
	return strings.Replace(small, "address: 192.0.2.1}",
		"address: 192.0.2.1, checks: [{kind: http, url: 'https://a.example/', body: 'file:"+file+"'}]}", 1)
}

const revealed = "xyzzy-one"

func TestAChangedSecretIsSealedAgainAndStoredNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		file, token := filepath.Join(w.dir, "catalog.yaml"), filepath.Join(w.dir, "token")
		write(t, token, revealed+"\n")
		write(t, file, withSecret(token))
		warnings := &warningLog{}
		config := catalogs.Config{
			File: file, DigestKey: []byte("key"), Warn: warnings.set,
		}
		s, _, stop := w.run(t, config)
		first := s.Current()
		if got := w.sealed(t, "nc2")["file:"+token].Reveal(); got != revealed {
			t.Errorf("NC2 gets %q", got)
		}
		if got := w.sealed(t, "nc1"); got != nil {
			t.Errorf("NC1 does not probe itself and gets %d secrets", len(got))
		}
		time.Sleep(time.Minute)
		if events := w.events(); events != 1 || s.Current().Revision != first.Revision {
			t.Errorf("an unchanged value makes %d events", events)
		}
		write(t, token, "xyzzy-two")
		time.Sleep(20 * time.Second)
		if got := w.sealed(t, "nc2")["file:"+token].Reveal(); got != "xyzzy-two" {
			t.Errorf("after the change NC2 gets %q", got)
		}
		changed := s.Current()
		if changed.Revision == first.Revision || w.events() != 2 ||
			!changed.Hosts[0].Checks[0].SameQuestion(&first.Hosts[0].Checks[0]) {
			t.Errorf("the changed value made %d events, the same revision, or another question", w.events())
		}
		os.Remove(token)
		time.Sleep(20 * time.Second)
		if got := w.sealed(t, "nc2")["file:"+token].Reveal(); got != "xyzzy-two" || warnings.get("secrets") == "" {
			t.Errorf("without the file NC2 gets %q, warning %q", got, warnings.get("secrets"))
		}
		stop()
		s, _, stop = w.run(t, config)
		if got := w.sealed(t, "nc2"); len(got) != 0 || got == nil || s.Current().Revision != changed.Revision {
			t.Errorf("after a restart without the file NC2 gets %d secrets of %s", len(got), s.Current().Revision)
		}
		write(t, token, "xyzzy-two")
		time.Sleep(10 * time.Second)
		if got := w.sealed(t, "nc2")["file:"+token].Reveal(); got != "xyzzy-two" || warnings.get("secrets") != "" {
			t.Errorf("with the file again NC2 gets %q, warning %q", got, warnings.get("secrets"))
		}
		stop()
		if w.stored("xyzzy") {
			t.Error("a value is in the ledger")
		}
	})
}

func TestAgentsTooOldForSecretsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		token := filepath.Join(w.dir, "token")
		write(t, token, revealed)
		write(t, filepath.Join(w.dir, "catalog.yaml"), withSecret(token))
		warnings := &warningLog{}
		_, _, stop := w.run(t, catalogs.Config{
			File: filepath.Join(w.dir, "catalog.yaml"), Warn: warnings.set,
		})
		defer stop()
		for _, agent := range []string{"nc1", "nc2", "unknown"} {
			got, err := wire.DecodeAnswer(w.answer(agent, nil))
			if err != nil || got.Sealed != nil {
				t.Errorf("%s without a key: %v, %d bytes sealed", agent, err, len(got.Sealed))
			}
		}
		if got := warnings.get("old agents"); !strings.HasSuffix(got, "upgrade them: NC2") {
			t.Errorf("the warning is %q", got)
		}
		w.sealed(t, "nc2")
		if got := warnings.get("old agents"); got != "" {
			t.Errorf("after the upgrade the warning is %q", got)
		}
	})
}

func TestApplyNeedsTheCoordinatorsOwnValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, _, stop := w.run(t, catalogs.Config{Catalog: parse(t, small)})
		defer stop()
		token := filepath.Join(w.dir, "token")
		next := parse(t, withSecret(token))
		_, err := s.Apply(t.Context(), next, "test", false)
		if err == nil || !strings.Contains(err.Error(), token) || w.events() != 1 {
			t.Errorf("without the file: %v", err)
		}
		write(t, token, revealed)
		if _, err := s.Apply(t.Context(), next, "test", false); err != nil {
			t.Fatal(err)
		}
		if got := w.sealed(t, "nc2")["file:"+token].Reveal(); got != revealed {
			t.Errorf("NC2 gets %q", got)
		}
		if changes, err := s.Apply(t.Context(), next, "test", false); err != nil || len(changes) > 0 || w.events() != 2 {
			t.Errorf("applied again: %v, %v, %d events", changes, err, w.events())
		}
	})
}
