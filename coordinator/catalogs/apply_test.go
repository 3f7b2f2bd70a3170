package catalogs_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/probemesh/probemesh/coordinator/catalogs"
	"github.com/probemesh/probemesh/pkg/catalog"
)

func TestWithoutAnyCatalogTheStoreWaitsForApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, _, stop := w.run(t, catalogs.Config{})
		if n := len(s.Current().Hosts); n != 0 {
			t.Errorf("%d hosts", n)
		}
		next := parse(t, small)
		if _, err := s.Apply(t.Context(), next, "test", false); err != nil {
			t.Fatal(err)
		}
		if !s.KnownHost("nc1") || s.KnownHost("nc3") || w.answered(t).Catalog.Revision != next.Revision {
			t.Error("the catalog is not in force")
		}
		stop()
		s, _, stop = w.run(t, catalogs.Config{})
		defer stop()
		if s.Current().Revision != next.Revision || w.events() != 2 {
			t.Errorf("after a restart %s is in force, and the ledger has %d events", s.Current().Revision, w.events())
		}
	})
}

func TestApplyRemovesHostsOnlyWithPrune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, stop := newWorld(t).run(t, catalogs.Config{Catalog: parse(t, small)})
		defer stop()
		fewer := *s.Current()
		fewer.Hosts = fewer.Hosts[:1]
		catalog.Seal(&fewer)
		_, err := s.Apply(t.Context(), &fewer, "test", false)
		if !errors.Is(err, catalogs.ErrNeedsPrune) || !strings.Contains(err.Error(), "NC2") {
			t.Errorf("without prune: %v", err)
		}
		changes, err := s.Apply(t.Context(), &fewer, "test", true)
		if err != nil || len(changes) == 0 || s.Current().Revision != fewer.Revision {
			t.Errorf("with prune: %v, %v", changes, err)
		}
	})
}

// What agents would refuse is not put in force: they would go on with the catalog before, or with none after a restart.
func TestACatalogThatAgentsWouldRefuseIsNotPutInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, _, stop := w.run(t, catalogs.Config{Catalog: parse(t, small)})
		defer stop()
		before, events := s.Current().Revision, w.events()
		wrong := parse(t, readdressed(small))
		wrong.Hosts[0].Checks = append(wrong.Hosts[0].Checks, catalog.Check{
			Kind: catalog.KindTCP, Name: "mail", Interval: catalog.DefaultInterval, Timeout: catalog.DefaultTimeout,
			Options: catalog.TCP{},
		})
		catalog.Seal(wrong)
		_, err := s.Apply(t.Context(), wrong, "test", false)
		if err == nil || !strings.Contains(err.Error(), "port 0 is not a number") {
			t.Errorf("applied with error %v", err)
		}
		if s.Current().Revision != before || w.events() != events || w.answered(t).Catalog.Revision != before {
			t.Error("the catalog is in force")
		}
	})
}
