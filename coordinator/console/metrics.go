package console

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Labels have one meaning in all metrics: host, vantage and agent are names as the catalog spells them, and region is
// that of the host. vantageRegion is where a probe came from.
const vantageRegion = "vantage_region"

// Metrics of probes. They have the names and units of blackbox_exporter's, so that its dashboards work.
var (
	probeSuccess = describe("probe_success", "1 if the vantage's latest result counts as good, 0 if it counts as bad.",
		"vantage", vantageRegion, "host", "region", "check", "family")
	probeDuration = describe("probe_duration_seconds", "Round-trip time of the vantage's latest good result.",
		"vantage", vantageRegion, "host", "region", "check", "family")
)

// Metrics of hosts, checks and agents. Each status and each verdict has a series, so that avg_over_time of one is the
// share of the time that the host or the check had it.
var (
	hostStatus = describe("probemesh_host_status", "1 for the current status, 0 for every other one.",
		"host", "region", "status")
	checkVerdict = describe("probemesh_check_verdict", "1 for the current verdict, 0 for every other one.",
		"host", "region", "check", "verdict")
	regionsOK  = describe("probemesh_regions_ok", "Regions that vote ok.", "host", "region", "check")
	regionsBad = describe("probemesh_regions_bad", "Regions that vote bad.", "host", "region", "check")

	agentSilent = describe("probemesh_agent_silent", "1 if the agent is silent or has never connected.", "agent")
	agentClock  = describe("probemesh_agent_clock_offset_seconds",
		"The agent's wall clock less the time of the stream.", "agent")
	agentDropped = describe("probemesh_agent_dropped_observations_total",
		"Observations that the agent's full queue dropped since it started.", "agent")
	agentQueued = describe("probemesh_agent_queued_observations",
		"Batches of observations in the agent that NATS has not acknowledged.", "agent")
	agentLag = describe("probemesh_agent_timer_lag_seconds",
		"The agent's worst timer overrun in its latest batch.", "agent")
	agentLastBatch = describe("probemesh_agent_last_word_timestamp_seconds",
		"When the agent's latest batch arrived, by the time of the stream.", "agent")
	agentInfo = describe("probemesh_agent_info", "1; the labels describe the agent.",
		"agent", "region", "version", "catalog")
)

// Metrics of the coordinator itself.
var (
	streamCount = describe("probemesh_stream_messages", "Messages in the stream.", "stream")
	streamBytes = describe("probemesh_stream_bytes", "Size of the stream.", "stream")

	judgeRunning = describe("probemesh_judging", "1 while the judge processes the stream.")
	judgeBehind  = describe("probemesh_judge_lag_messages",
		"Messages of the stream that the judge has not processed yet.")
	judgeLag = describe("probemesh_judge_lag_seconds",
		"Age of the last message that the judge processed, by the time of the stream; a tick comes every 2 s.")
	judgeLeftOut = describe("probemesh_judge_left_out_total",
		"Messages and observations that the judge did not count, by reason.", "why")
	lastTick = describe("probemesh_last_tick_timestamp_seconds",
		"The stream's time of the last tick that the judge processed.")
	viewBehind = describe("probemesh_view_lag_events", "Events of the ledger that its view lacks.")
	warnings   = describe("probemesh_warnings", "Problems that operators must fix; the console lists them.")
	diskFree   = describe("probemesh_disk_free_bytes", "Free space on the data directory's file system.")
	diskSize   = describe("probemesh_disk_size_bytes", "Size of the data directory's file system.")
	buildInfo  = describe("probemesh_coordinator_info", "1; the label is the version of the coordinator.", "version")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// gatherWait bounds what one scrape or page asks of NATS.
const gatherWait = 2 * time.Second

// NewMetrics returns the handler of the metrics alone, for another address.
func NewMetrics(c Config) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{c},
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// collector reads the source whenever Prometheus scrapes.
type collector struct{ config Config }

// Describe announces no metric: which there are depends on the catalog, and may change with it. That makes the
// collector an unchecked one for the Prometheus client.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all metrics as they are now.
func (c collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), gatherWait)
	defer cancel()
	send := sender(out)
	_, s := c.config.Source.Current()
	names := map[string]string{} // of vantages, by key
	for _, a := range s.Vantages {
		names[mesh.Key(a.Name)] = a.Name
	}
	for i := range s.Hosts {
		collectHost(send, &s.Hosts[i], names)
	}
	for _, a := range s.Vantages {
		collectAgent(send, a)
	}
	for why, n := range c.config.Source.Counters() {
		send.counter(judgeLeftOut, float64(n), why)
	}
	c.collectIncidents(ctx, send, s)
	c.collectNotifications(ctx, send)
	c.collectStreams(ctx, send)
	c.collectHealth(ctx, send)
}

// sender sends metrics to one scrape.
type sender chan<- prometheus.Metric

func (s sender) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s.send(d, prometheus.GaugeValue, value, labels)
}

func (s sender) counter(d *prometheus.Desc, value float64, labels ...string) {
	s.send(d, prometheus.CounterValue, value, labels)
}

// send sends one sample. Agents write their versions, and one that is not UTF-8 must not break the scrape of the rest.
func (s sender) send(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels []string) {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\uFFFD")
	}
	s <- prometheus.MustNewConstMetric(d, kind, value, labels...)
}

func collectHost(send sender, h *mesh.HostState, names map[string]string) {
	for _, status := range mesh.Statuses() {
		send.gauge(hostStatus, boolValue(h.Status == status), h.Name, h.Region, string(status))
	}
	for i := range h.Checks {
		collectCheck(send, h, &h.Checks[i], names)
	}
}

func collectCheck(send sender, h *mesh.HostState, c *mesh.CheckState, names map[string]string) {
	for _, verdict := range mesh.Verdicts() {
		send.gauge(checkVerdict, boolValue(c.Verdict == verdict), h.Name, h.Region, c.Name, string(verdict))
	}
	send.gauge(regionsOK, float64(c.Tally.OK), h.Name, h.Region, c.Name)
	send.gauge(regionsBad, float64(c.Tally.Bad), h.Name, h.Region, c.Name)
	for _, region := range c.Votes {
		for _, e := range region.Edges {
			if e.Vote == mesh.Abstain {
				continue // it has no result that counts: no sample is honest, 0 would be an outage
			}
			vantage := cmp.Or(names[e.Vantage], e.Vantage)
			labels := []string{vantage, region.Region, h.Name, h.Region, c.Name, e.Family.String()}
			send.gauge(probeSuccess, boolValue(e.Vote == mesh.OK), labels...)
			if e.Vote == mesh.OK && e.HasTime() {
				send.gauge(probeDuration, e.RTT.Seconds(), labels...)
			}
		}
	}
}

func collectAgent(send sender, a mesh.VantageState) {
	send.gauge(agentSilent, boolValue(!connected(a)), a.Name)
	send.gauge(agentClock, a.Clock.Seconds(), a.Name)
	send.gauge(agentQueued, float64(a.Queued), a.Name)
	send.gauge(agentLag, a.Lag.Seconds(), a.Name)
	send.gauge(agentInfo, 1, a.Name, a.Region, a.Version, a.Revision)
	send.counter(agentDropped, float64(a.Dropped), a.Name)
	if !a.LastBatch.IsZero() {
		send.gauge(agentLastBatch, unixSeconds(a.LastBatch), a.Name)
	}
}

func (c collector) collectStreams(ctx context.Context, send sender) {
	streams, err := c.config.Source.Streams(ctx)
	if err != nil {
		c.config.Logger.Warn().Err(err).Msg("stream sizes unknown")
		return
	}
	for _, s := range streams {
		send.gauge(streamCount, float64(s.Messages), s.Name)
		send.gauge(streamBytes, float64(s.Bytes), s.Name)
	}
}

func (c collector) collectHealth(ctx context.Context, send sender) {
	h, err := c.config.Source.Health(ctx)
	if err != nil {
		c.config.Logger.Debug().Err(err).Msg("coordinator health incomplete")
	}
	send.gauge(buildInfo, 1, c.config.Version)
	send.gauge(judgeRunning, boolValue(h.Judging))
	send.gauge(judgeBehind, float64(h.Behind))
	send.gauge(viewBehind, float64(h.ViewBehind))
	send.gauge(warnings, float64(len(h.Warnings)))
	if !h.Judged.IsZero() {
		send.gauge(judgeLag, max(0, time.Since(h.Judged).Seconds()))
	}
	if !h.Tick.IsZero() {
		send.gauge(lastTick, unixSeconds(h.Tick))
	}
	if free, size, err := c.config.diskSpace(); err == nil && size > 0 {
		send.gauge(diskFree, float64(free))
		send.gauge(diskSize, float64(size))
	}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
