package engine_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/wire"
)

// askedWorld is a world that remembers how agents are answered.
type askedWorld struct {
	*world
	mu     sync.Mutex
	answer func(string, *bus.SealKey) []byte
}

func (a *askedWorld) AnswerCatalog(
	ctx context.Context, ready chan<- struct{}, answer func(string, *bus.SealKey) []byte,
) error {
	a.mu.Lock()
	a.answer = answer
	a.mu.Unlock()
	return a.world.AnswerCatalog(ctx, ready, answer)
}

// keys returns the hosts whose agents' public keys come with the catalog now.
func (a *askedWorld) keys(t *testing.T) (hosts []string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	got, err := wire.DecodeAnswer(a.answer("nc1", nil))
	if err != nil || got.Keys == nil {
		t.Fatalf("%+v %v", got, err)
	}
	for host := range got.Keys {
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return hosts
}

// A roster on the stream has the catalogs renew what agents get.
func TestAgentsGetTheAdmittedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &askedWorld{world: newWorld(t)}
		c := fourHosts(t)
		e, stop := w.runOn(t, w, node.CoreConfig{Catalog: c})
		defer stop()
		key, _, err := bus.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		notices := func() (n int) {
			w.world.mu.Lock()
			defer w.world.mu.Unlock()
			for _, notice := range w.broadcasts {
				if notice.Catalog == c.Revision {
					n++
				}
			}
			return n
		}
		time.Sleep(time.Second)
		if got := w.keys(t); len(got) != 0 {
			t.Errorf("before anybody joined: %v", got)
		}
		for host, public := range map[string]string{"nc1": key, "nc2": "not a key"} {
			if err := e.Members.Enrolled(t.Context(), host, public); err != nil {
				t.Fatal(err)
			}
		}
		before := notices()
		time.Sleep(3 * time.Second)
		if got := w.keys(t); !slices.Equal(got, []string{"nc1"}) || notices() == before {
			t.Errorf("after joining: %v, %d notices", got, notices())
		}
		before = notices()
		if err := e.Members.Revoked(t.Context(), "nc1", key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if got := w.keys(t); len(got) != 0 || notices() == before {
			t.Errorf("after the revocation: %v, %d notices", got, notices())
		}
	})
}
