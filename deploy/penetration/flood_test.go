package penetration_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/quotaguard"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/quota"
)

// keyed knows the attacker's key, as a ledger does.
type keyed struct{ key string }

func (k keyed) Agent(_ context.Context, host string) (ledger.Agent, error) {
	if host != own {
		return ledger.Agent{}, ledger.ErrNoAgent
	}
	return ledger.Agent{PublicKey: k.key}, nil
}

// The stream and the budget are scaled, so that the stream would be full in fifteen seconds instead of ten minutes.
const floodStream, floodBudget = 48 << 20, 8 << 20

// flood publishes batches of the largest size just below the rate that the server refuses by itself, until all that others published
// would have been discarded.
func (w *world) flood() {
	claims, err := jwt.DecodeUserClaims(w.ids[own].token)
	must(w.t, err)
	must(w.t, w.bus.ResizeObservations(w.t.Context(), floodStream))
	a := quotaguard.New(quotaguard.Config{
		Bus: w.bus, Issuer: w.server, Members: keyed{claims.Subject}, Warn: func(string, string) {}, Logger: zerolog.Nop(),
		Catalogs: func(context.Context, time.Time) ([]*catalog.Catalog, error) { return []*catalog.Catalog{{}}, nil },
		Plan:     func(*catalog.Catalog) quota.Plan { return quota.Plan{Unlisted: floodBudget, Size: floodStream} },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = a.Run(ctx) })
	defer func() { cancel(); tasks.Wait() }()
	time.Sleep(2 * time.Second) // the accountant follows
	w.try("agent", "fill the stream, so that what others published is discarded", func() error {
		data := string(make([]byte, 128_000))
		agent, sent := w.agent(own), 0
		for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(35 * time.Millisecond) {
			if err := agent.say(pub(bus.SubjectObservations+own, "", data)); err != nil {
				time.Sleep(8 * time.Second) // what is left of it is removed, and the server forgets who read it
				return fmt.Errorf("after %d MB: %w", sent>>20, err)
			}
			sent += len(data)
		}
		return nil
	})
	w.try("agent", "come back with newer credentials", func() error {
		token, err := w.server.Issue(own, claims.Subject)
		must(w.t, err)
		r, err := knock(w.address(), w.tls())
		must(w.t, err)
		defer r.Close()
		return r.enter(connect{JWT: token, Signature: r.sign(w.ids[own].seed)})
	})
	w.removed()
}

// removed checks that no more than half a budget of the attacker's batches is left.
func (w *world) removed() {
	stored, err := w.bus.Batches(w.t.Context(), own)
	must(w.t, err)
	left := int64(0)
	for _, s := range stored {
		left += s.Bytes
	}
	if left > quota.Keep(floodBudget) {
		w.t.Errorf("%d bytes of what it published are left", left)
	}
}
