package catalogs_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/coordinator/catalogs"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// Agents get the public keys of the admitted agents with the catalog, and are notified when those change.
func TestAgentsGetTheAdmittedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, led, stop := w.run(t, catalogs.Config{Catalog: parse(t, small)})
		defer stop()
		key, _, err := bus.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		record := func(e ledger.AgentEvent) {
			t.Helper()
			e.Mesh = time.Now()
			if err := led.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			s.RosterChanged()
		}
		notices := 0
		want := func(when string, keys int, notified bool) {
			t.Helper()
			time.Sleep(3 * time.Second)
			got := w.answered(t)
			before := notices
			notices = len(w.current().notices)
			if len(got.Keys) != keys || got.Catalog.Revision != s.Current().Revision || notices > before != notified {
				t.Errorf("%s: %d keys, %d notices after %d", when, len(got.Keys), notices, before)
			}
		}
		want("before anybody joined", 0, false)
		record(ledger.AgentEvent{Host: "nc1", PublicKey: key})
		record(ledger.AgentEvent{Host: "nc2", PublicKey: "not a key"})
		want("after two joined at once, one with a broken key", 1, true)
		record(ledger.AgentEvent{Host: "nc1", PublicKey: key, Revoked: true})
		want("after the revocation", 0, true)
	})
}

// The terms of the SLA concern customers, and agents run on their servers.
func TestAgentsDoNotGetTheSLA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, _, stop := w.run(t, catalogs.Config{Catalog: parse(t, small+"\nsla: {target: 99.5}\n")})
		defer stop()
		got := w.answered(t).Catalog
		if in := s.Current(); in.SLA == nil || got.SLA != nil || got.Revision != in.Revision {
			t.Errorf("agents get %+v of revision %s; %+v of %s is in force", got.SLA, got.Revision, in.SLA, in.Revision)
		}
	})
}
