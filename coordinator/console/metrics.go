package console

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// The metrics. Those of probes have the names and units of blackbox_exporter's.
var (
	probeSuccess  = describe("probe_success", "1 when the vantage's latest look was good, 0 when it was bad.", "vantage", "host", "check", "family")
	probeDuration = describe("probe_duration_seconds", "Round-trip time of the vantage's latest good look.", "vantage", "host", "check", "family")
	checkVerdict  = describe("probemesh_check_verdict", "1 for the verdict that holds.", "host", "check", "verdict")
	regionsOK     = describe("probemesh_regions_ok", "Regions that say ok.", "host", "check")
	regionsBad    = describe("probemesh_regions_bad", "Regions that say bad.", "host", "check")
	agentSilent   = describe("probemesh_agent_silent", "1 when the agent is silent or was never heard.", "agent")
	agentClock    = describe("probemesh_agent_clock_offset_seconds", "The agent's wall clock less the stream's time.", "agent")
	agentDropped  = describe("probemesh_agent_dropped_observations_total", "Observations that the agent's queue lost since it started.", "agent")
	agentQueued   = describe("probemesh_agent_queued_observations", "Batches that wait in the agent for the bus.", "agent")
	agentLag      = describe("probemesh_agent_timer_lag_seconds", "The agent's worst timer overrun in its last batch.", "agent")
	agentHeard    = describe("probemesh_agent_last_word_timestamp_seconds", "When the agent's last batch came, by the stream's time.", "agent")
	agentInfo     = describe("probemesh_agent_info", "1; the labels say what the agent runs.", "agent", "region", "version", "catalog")
	streamCount   = describe("probemesh_stream_messages", "Messages in a stream.", "stream")
	streamBytes   = describe("probemesh_stream_bytes", "Bytes in a stream.", "stream")
	judgeLeftOut  = describe("probemesh_judge_left_out_total", "Messages and observations that the judge left out.", "why")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// collector reads the source whenever it is scraped.
type collector struct {
	Config
	source Source
	log    zerolog.Logger
}

func newMetrics(c Config) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{c, c.Source, c.Logger})
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// Describe names no metric beforehand: which there are follows from the catalog.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect tells what the source holds now.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	_, s := c.source.Current()
	for _, h := range s.Hosts {
		for _, check := range h.Checks {
			gauge(checkVerdict, 1, h.Name, check.Name, string(check.Verdict))
			gauge(regionsOK, float64(check.Tally.OK), h.Name, check.Name)
			gauge(regionsBad, float64(check.Tally.Bad), h.Name, check.Name)
			for _, r := range check.Votes {
				collectEdges(gauge, h.Name, check.Name, r.Edges)
			}
		}
	}
	for _, a := range s.Vantages {
		gauge(agentSilent, truth(a.Silent || a.Heard.IsZero()), a.Name)
		gauge(agentClock, a.Clock.Seconds(), a.Name)
		gauge(agentQueued, float64(a.Queued), a.Name)
		gauge(agentLag, a.Lag.Seconds(), a.Name)
		gauge(agentInfo, 1, a.Name, a.Region, a.Version, a.Revision)
		if !a.Heard.IsZero() {
			gauge(agentHeard, seconds(a.Heard), a.Name)
		}
		out <- prometheus.MustNewConstMetric(agentDropped, prometheus.CounterValue, float64(a.Dropped), a.Name)
	}
	for why, n := range c.source.Counters() {
		out <- prometheus.MustNewConstMetric(judgeLeftOut, prometheus.CounterValue, float64(n), why)
	}
	c.collectStreams(gauge)
	c.collectHealth(gauge)
}

type gauge func(d *prometheus.Desc, v float64, labels ...string)

func collectEdges(gauge gauge, host, check string, edges []mesh.EdgeState) {
	for _, e := range edges {
		if e.Vote == mesh.Abstain {
			continue
		}
		gauge(probeSuccess, truth(e.Vote == mesh.OK), e.Vantage, host, check, e.Family.String())
		if e.Vote == mesh.OK {
			gauge(probeDuration, e.RTT.Seconds(), e.Vantage, host, check, e.Family.String())
		}
	}
}

func (c collector) collectStreams(gauge gauge) {
	ctx, cancel := timeout()
	defer cancel()
	streams, err := c.source.Streams(ctx)
	if err != nil {
		c.log.Warn().Err(err).Msg("the streams' sizes cannot be told")
		return
	}
	for _, s := range streams {
		gauge(streamCount, float64(s.Messages), s.Name)
		gauge(streamBytes, float64(s.Bytes), s.Name)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

const streamsWait = 2 * time.Second

func timeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), streamsWait)
}
