package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// publisher is an agent's connection that publishes all the time and records what the stream acknowledged.
type publisher struct {
	host string
	stop func()

	mu    sync.Mutex
	acked []string // ids
}

// publish publishes batches with a host's identity, four at a time, until stop is called.
func (m *testbed) publish(data, host string) *publisher {
	m.t.Helper()
	out, err := exec.Command(m.coordinator, "invite", host, "--data", data).Output()
	if err != nil {
		m.t.Fatal(err)
	}
	m.must(m.agent, "join", strings.TrimSpace(string(out)), "--state", m.path("publisher"))
	id, err := identity.Load(m.path("publisher"))
	if err != nil {
		m.t.Fatal(err)
	}
	conn, err := busagent.Dial(m.t.Context(), busagent.Config{
		Name: id.Name, Endpoint: id.Endpoint(), JWT: id.JWT, Seed: id.Seed, Logger: zerolog.Nop(),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &publisher{host: id.Name}
	var running sync.WaitGroup
	for worker := range 4 {
		running.Go(func() {
			pace := time.NewTicker(100 * time.Millisecond) // slow enough not to fill a small disk
			defer pace.Stop()
			for n := uint64(1); ctx.Err() == nil; n++ {
				<-pace.C
				p.send(ctx, conn, uint64(worker), n)
			}
		})
	}
	p.stop = sync.OnceFunc(func() { cancel(); running.Wait(); conn.Close() })
	m.t.Cleanup(p.stop)
	return p
}

func (p *publisher) send(ctx context.Context, conn *busagent.Conn, worker, n uint64) {
	began := time.Now()
	data, err := wire.EncodeBatch(&mesh.Batch{Agent: p.host, Epoch: worker + 1, Sequence: n, Began: began})
	if err != nil {
		return
	}
	id := fmt.Sprintf("publisher-%d-%d", worker, n)
	headers := func() map[string]string { return wire.EncodeHeaders(time.Since(began), time.Hour) }
	if conn.Publish(ctx, id, headers, data) == nil {
		p.mu.Lock()
		p.acked = append(p.acked, id)
		p.mu.Unlock()
	}
}

func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acked)
}

// readStreams reads both streams of a coordinator that does not run: how often each batch id occurs, and the ledger's
// transitions.
func readStreams(t *testing.T, data string) (batches map[string]int, transitions []string) {
	t.Helper()
	s, err := node.OpenBus(t.Context(), onLoopback(node.Config{Data: data}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	way, err := s.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := buscoordinator.Dial(t.Context(), way)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	end, err := conn.Mark(t.Context(), bus.Tick, "the end", nil)
	if err != nil {
		t.Fatal(err)
	}
	batches, ended := map[string]int{}, errors.New("ended")
	err = conn.Follow(t.Context(), bus.Start{Sequence: 1}, func(m bus.Message) error {
		if m.Kind == bus.Batch {
			batches[m.Header("Nats-Msg-Id")]++
		}
		if m.Sequence >= end {
			return ended
		}
		return nil
	})
	if !errors.Is(err, ended) {
		t.Fatal(err)
	}
	err = conn.ReadLedger(t.Context(), 1, func(r bus.Record) error {
		if strings.HasPrefix(r.Subject, "transition.") {
			transitions = append(transitions, string(r.Data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return batches, transitions
}

// checkNothingLost checks that the stream has everything that was acknowledged, once, and the ledger every transition
// once.
func checkNothingLost(t *testing.T, data string, p *publisher) {
	t.Helper()
	batches, transitions := readStreams(t, data)
	lost, duplicated := 0, 0
	for _, id := range p.acked {
		switch n := batches[id]; {
		case n == 0:
			lost++
		case n > 1:
			duplicated++
		}
	}
	t.Logf("%d batches were acknowledged, %d transitions published", len(p.acked), len(transitions))
	if lost > 0 || duplicated > 0 {
		t.Errorf("of %d acknowledged batches %d are lost and %d are duplicated", len(p.acked), lost, duplicated)
	}
	verdicts := map[string]any{} // the latest of each check; a transition that is there twice does not follow itself
	for _, tr := range transitions {
		v := decode(t, tr)
		check := fmt.Sprint(v["host"], " ", v["check"])
		if was, ok := verdicts[check]; ok && was != v["was"] || v["was"] == v["verdict"] {
			t.Errorf("a transition of %s does not follow the one before, to %v: %s", check, was, tr)
		}
		verdicts[check] = v["verdict"]
	}
}

func decode(t *testing.T, text string) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
