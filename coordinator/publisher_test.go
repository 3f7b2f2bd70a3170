package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// publisher is an agent's connection that publishes all the time, and remembers what the stream acknowledged.
type publisher struct {
	host string
	stop func()

	mu    sync.Mutex
	acked []string // ids
}

// publish has a host's identity publish batches, several at once, until stop is called.
func (m *mission) publish(data, host string) *publisher {
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
	conn, err := busagent.Dial(m.t.Context(), busagent.Config{Name: id.Name, Endpoint: id.Endpoint(), JWT: id.JWT, Seed: id.Seed, Logger: zerolog.Nop()})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &publisher{host: id.Name}
	var running sync.WaitGroup
	for worker := range 4 {
		running.Go(func() {
			pace := time.NewTicker(100 * time.Millisecond) // a small disk is not to be filled by it
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

// streams reads both streams of a coordinator that does not run: the ids of what agents said, and the ledger's
// transitions.
func streams(t *testing.T, data string) (said map[string]int, transitions []string) {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{Dir: filepath.Join(data, "bus"), Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
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
	said, ended := map[string]int{}, errors.New("ended")
	err = conn.Follow(t.Context(), bus.Start{Sequence: 1}, func(m bus.Message) error {
		if m.Kind == bus.Batch {
			said[m.Header("Nats-Msg-Id")]++
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
	return said, transitions
}

// whole checks that the stream has everything that was acknowledged, once, and the ledger every transition once.
func whole(t *testing.T, data string, p *publisher) {
	t.Helper()
	said, transitions := streams(t, data)
	lost, doubled := 0, 0
	for _, id := range p.acked {
		switch n := said[id]; {
		case n == 0:
			lost++
		case n > 1:
			doubled++
		}
	}
	t.Logf("%d batches were acknowledged, %d transitions published", len(p.acked), len(transitions))
	if lost > 0 || doubled > 0 {
		t.Errorf("of %d acknowledged batches %d are lost and %d are doubled", len(p.acked), lost, doubled)
	}
	stands := map[string]any{} // what each check was told to be; one that is told twice does not follow itself
	for _, tr := range transitions {
		v := decode(t, tr)
		check := fmt.Sprint(v["host"], " ", v["check"])
		if was, ok := stands[check]; ok && was != v["was"] || v["was"] == v["verdict"] {
			t.Errorf("a transition of %s does not follow the one before, to %v: %s", check, was, tr)
		}
		stands[check] = v["verdict"]
	}
}

func decode(t *testing.T, text string) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
