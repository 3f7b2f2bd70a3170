package console

import (
	"fmt"
	"time"
)

// The metrics of the coordinator itself.
var (
	judgeUp     = describe("probemesh_judging", "1 while the judge takes what the stream has.")
	judgeBehind = describe("probemesh_judge_lag_messages", "Messages of the stream that the judge has not taken yet.")
	judgeLag    = describe("probemesh_judge_lag_seconds", "How long ago, by the stream's time, the last message was written that the judge took. An idle mesh has a tick every two seconds.")
	lastTick    = describe("probemesh_last_tick_timestamp_seconds", "The stream's time of the last tick that the judge took.")
	viewBehind  = describe("probemesh_view_lag_events", "Events of the ledger that its view has not taken yet.")
	warnings    = describe("probemesh_warnings", "Things that operators must mend; the console says them in words.")
	diskFree    = describe("probemesh_disk_free_bytes", "Free on the data directory's file system.")
	diskSize    = describe("probemesh_disk_size_bytes", "Size of the data directory's file system.")
	program     = describe("probemesh_coordinator_info", "1; the label says what the coordinator runs.", "version")
)

func (c collector) collectHealth(gauge gauge) {
	ctx, cancel := timeout()
	defer cancel()
	h, err := c.source.Health(ctx)
	if err != nil {
		c.log.Debug().Err(err).Msg("the coordinator's health is told in part")
	}
	gauge(program, 1, c.Version)
	gauge(judgeUp, truth(h.Judging))
	gauge(judgeBehind, float64(h.Behind))
	gauge(viewBehind, float64(h.ViewBehind))
	gauge(warnings, float64(len(h.Warnings)))
	if !h.Judged.IsZero() {
		gauge(judgeLag, max(0, time.Since(h.Judged).Seconds()))
	}
	if !h.Tick.IsZero() {
		gauge(lastTick, seconds(h.Tick))
	}
	if free, size, err := c.disk(); err == nil && size > 0 {
		gauge(diskFree, float64(free))
		gauge(diskSize, float64(size))
	}
}

func (c Config) disk() (free, size uint64, err error) {
	if c.Disk == nil {
		return 0, 0, nil
	}
	return c.Disk()
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// fact is one line of what the coordinator tells of itself.
type fact struct{ Name, Text string }

// factsFor is how long what the coordinator tells of itself is shown, so that many readers do not have it asked all the time.
const factsFor = time.Second

// self is how the coordinator does, in words.
func (s *console) self() []fact {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.factsAt) >= factsFor {
		s.facts, s.factsAt = s.ask(), now
	}
	return s.facts
}

func (s *console) ask() []fact {
	ctx, cancel := timeout()
	defer cancel()
	h, err := s.Source.Health(ctx)
	if err != nil {
		s.Logger.Debug().Err(err).Msg("the coordinator's health is told in part")
	}
	judge := "stands still"
	if h.Judging {
		judge = "judges"
	}
	if !h.Judged.IsZero() {
		judge += fmt.Sprintf(", last message %s ago, %d behind", max(0, time.Since(h.Judged)).Round(100*time.Millisecond), h.Behind)
	}
	facts := []fact{{"Judge", judge}, {"Ledger's view", fmt.Sprintf("%d events behind", h.ViewBehind)}}
	streams, err := s.Source.Streams(ctx)
	if err != nil {
		facts = append(facts, fact{"Streams", "cannot be asked: " + err.Error()})
	}
	for _, stream := range streams {
		facts = append(facts, fact{"Stream " + stream.Name, fmt.Sprintf("%d messages, %s", stream.Messages, size(stream.Bytes))})
	}
	if free, all, err := s.disk(); err == nil && all > 0 {
		facts = append(facts, fact{"Disk", fmt.Sprintf("%s free of %s", size(free), size(all))})
	}
	return append(facts, fact{"Version", s.Version})
}

// size is a number of bytes as people say it.
func size(n uint64) string {
	const unit = 1024
	names := []string{"B", "kB", "MB", "GB", "TB"}
	value, i := float64(n), 0
	for value >= unit && i < len(names)-1 {
		value, i = value/unit, i+1
	}
	return fmt.Sprintf("%.3g %s", value, names[i])
}
