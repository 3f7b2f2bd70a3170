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

// attacker is a ledger with the attacker's key only.
type attacker struct{ key string }

func (attacker) Since(context.Context, string) (int64, error) { return 0, nil }

func (a attacker) Agent(_ context.Context, host string) (ledger.Agent, error) {
	if host != own {
		return ledger.Agent{}, ledger.ErrNoAgent
	}
	return ledger.Agent{PublicKey: a.key}, nil
}

// Scaled so that the stream would be full in fifteen seconds instead of ten minutes.
const floodStream, floodBudget = 48 << 20, 8 << 20

// flood publishes batches of the largest size just below the rate at which the server disconnects, for long enough to
// discard everything that others published.
func (w *world) flood() {
	claims, err := jwt.DecodeUserClaims(w.ids[own].token)
	must(w.t, err)
	must(w.t, w.bus.ResizeObservations(w.t.Context(), floodStream))
	a := quotaguard.New(quotaguard.Config{
		Bus: w.bus, Issuer: w.server, Members: attacker{claims.Subject}, Warn: func(string, string) {}, Logger: zerolog.Nop(),
		Catalogs: func(context.Context, time.Time) ([]*catalog.Catalog, error) { return []*catalog.Catalog{{}}, nil },
		Plan:     func(*catalog.Catalog) quota.Plan { return quota.Plan{Unlisted: floodBudget, Size: floodStream} },
	})
	ctx, cancel := context.WithCancel(context.Background())
	before := w.stored()
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = a.Run(ctx) })
	defer func() { cancel(); tasks.Wait() }()
	await(w.t, "the guard follows the stream", func() bool { return w.stored() != before })
	following := w.stored()
	w.attempt("agent", "fill the stream, so that what others published is discarded", func() error {
		data := string(make([]byte, 128_000))
		agent, sent := w.agent(own), 0
		for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(35 * time.Millisecond) {
			if err := agent.send(pub(bus.SubjectObservations+own, "", data)); err != nil {
				return fmt.Errorf("after %d MB: %w", sent>>20, err)
			}
			sent += len(data)
		}
		return nil
	})
	w.removed()
	await(w.t, "nobody lists batches any more", func() bool { return w.stored() == following })
	w.attempt("agent", "reconnect with newer credentials", func() error {
		token, err := w.server.Issue(own, claims.Subject)
		must(w.t, err)
		r, err := dialRaw(w.address(), w.tls())
		must(w.t, err)
		defer r.Close()
		return r.authenticate(connect{JWT: token, Signature: r.sign(w.ids[own].seed)})
	})
}

// removed waits until at most half a budget of the attacker's batches is left.
func (w *world) removed() {
	await(w.t, "the excess of the attacker's batches is removed", func() bool {
		stored, err := w.bus.Batches(w.t.Context(), own)
		left := int64(0)
		for _, s := range stored {
			left += s.Bytes
		}
		return err == nil && left <= quota.Retained(floodBudget) // it fails if the last batch is removed meanwhile
	})
}
