package console

import (
	"context"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// fact is one line about the coordinator itself.
type fact struct{ Name, Text string }

// factsFor is how long facts are shown before they are gathered again: NATS is asked for them, and every open page of
// every operator shows them.
const factsFor = time.Second

// coordinatorFacts returns how the coordinator itself is doing.
func (s *console) coordinatorFacts() []fact {
	s.factsMu.Lock()
	defer s.factsMu.Unlock()
	if time.Since(s.factsAt) >= factsFor {
		s.facts = s.gatherFacts()
		// The age counts from the end: gathering takes seconds while NATS does not answer, and readers who waited for
		// the lock use the same facts.
		s.factsAt = time.Now()
	}
	return s.facts
}

func (s *console) gatherFacts() []fact {
	ctx, cancel := context.WithTimeout(context.Background(), gatherWait)
	defer cancel()
	h, err := s.config.Source.Health(ctx)
	if err != nil {
		s.config.Logger.Debug().Err(err).Msg("coordinator health incomplete")
	}
	judge := "stopped"
	if h.Judging {
		judge = "running"
	}
	if !h.Judged.IsZero() {
		ago := max(0, time.Since(h.Judged))
		judge += fmt.Sprintf(", last message %.1f s ago, %s behind", ago.Seconds(), mesh.Count(int(h.Behind), "message"))
	}
	facts := []fact{{"Judge", judge}, {"View of the ledger", mesh.Count(int(h.ViewBehind), "event") + " behind"}}
	streams, err := s.config.Source.Streams(ctx)
	if err != nil {
		facts = append(facts, fact{"Streams", "sizes unknown: " + err.Error()})
	}
	for _, stream := range streams {
		text := mesh.Count(int(stream.Messages), "message") + ", " + formatSize(stream.Bytes)
		facts = append(facts, fact{"Stream " + stream.Name, text})
	}
	if free, size, err := s.config.diskSpace(); err == nil && size > 0 {
		facts = append(facts, fact{"Disk", fmt.Sprintf("%s free of %s", formatSize(free), formatSize(size))})
	}
	return append(facts, fact{"Version", s.config.Version})
}

// diskSpace returns what Disk does, or zeros without Disk.
func (c Config) diskSpace() (free, size uint64, err error) {
	if c.Disk == nil {
		return 0, 0, nil
	}
	return c.Disk()
}

// formatSize writes a number of bytes with three digits and a unit.
func formatSize(n uint64) string {
	names := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	value, i := float64(n), 0
	for value >= 1000 && i < len(names)-1 {
		value, i = value/1024, i+1
	}
	return fmt.Sprintf("%.3g %s", value, names[i])
}
