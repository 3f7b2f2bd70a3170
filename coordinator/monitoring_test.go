package main

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestCoordinatorMonitorsItself: its metrics are on the operators' view, and it sends heartbeats to an external
// monitor.
func TestCoordinatorMonitorsItself(t *testing.T) {
	var heartbeats atomic.Int64
	monitor := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heartbeats.Add(1) }))
	defer monitor.Close()
	m := newTestbed(t)
	data := m.path("d")
	m.startCoordinator(data, "--heartbeat-url", monitor.URL, "--heartbeat-every", "1s")
	m.startAgents(data)
	m.awaitStatus(data, "NC1", mesh.Operational)
	// The agents report one after the other, and the view may be an event behind at any moment.
	for _, want := range []string{
		`probemesh_judging 1`, `probemesh_judge_lag_messages [0-9]`,
		`probemesh_judge_lag_seconds [0-9]`, `probemesh_view_lag_events 0`,
		`probemesh_last_tick_timestamp_seconds 1`,
		`probemesh_stream_bytes{stream="OBS"} [1-9]`, `probemesh_stream_messages{stream="LEDGER"} [1-9]`,
		`probemesh_agent_queued_observations{agent="NC1"} [0-9]`, `probemesh_agent_clock_offset_seconds{agent="NC1"} `,
		`probemesh_agent_timer_lag_seconds{agent="NC1"} [0-9]`,
		`probemesh_agent_info{agent="NC1",catalog="[0-9a-f]+",region="amsterdam",version="[^"]+"} 1`,
		`probemesh_agent_last_word_timestamp_seconds{agent="NC1"} 1`, `probemesh_disk_free_bytes [1-9]`,
		`probemesh_coordinator_info{version="[^"]+"} 1`,
		`probemesh_warnings 0`,
	} {
		line := regexp.MustCompile(`(?m)^` + want)
		m.eventually("the metric "+want, func() bool { return line.MatchString(m.get("/metrics")) })
	}
	m.eventually("the overview shows the coordinator's health", func() bool {
		body := m.get("/")
		return strings.Contains(body, "running, last message") && strings.Contains(body, "Stream OBS")
	})
	m.eventually("heartbeats arrive", func() bool { return heartbeats.Load() > 1 })
}

// TestSilentAgentIsReportedEverywhere: in the log, by the command and on the operators' view, and again when it
// recovers.
func TestSilentAgentIsReportedEverywhere(t *testing.T) {
	testenv.RequireLong(t)
	t.Parallel()
	m := newTestbed(t)
	data := m.path("d")
	m.startCoordinator(data)
	agents := m.startAgents(data)
	m.awaitStatus(data, "NC1", mesh.Operational)
	m.stop(agents[1])
	m.eventually("the silent agent is reported", func() bool {
		return strings.Contains(m.must(m.coordinator, "status", "--data", data), "! silent agents: NC2 since ")
	})
	m.eventually("the silent agent is reported everywhere", func() bool {
		logged := strings.Contains(m.serve.log.String(), "agent=NC2")
		return logged && strings.Contains(m.get("/"), "Silent agents: NC2 since ")
	})
	m.startAgent("NC2")
	m.eventually("the agent recovered", func() bool {
		silent := strings.Contains(m.must(m.coordinator, "status", "--data", data), "silent agents")
		return !silent && strings.Contains(m.serve.log.String(), "agent recovered")
	})
}

func TestWrongHeartbeatURLIsWrongUsage(t *testing.T) {
	m := newTestbed(t)
	_, err := m.run(m.coordinator, "serve", "--data", m.path("d"), "--heartbeat-url", "example.net")
	if err == nil || !strings.Contains(err.Error(), "write it as https://") {
		t.Error(err)
	}
}
