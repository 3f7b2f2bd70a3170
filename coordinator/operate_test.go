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

// What a coordinator measures of itself is on the operators' view, and somebody outside is told that it judges.
func TestACoordinatorTellsHowItDoes(t *testing.T) {
	var pings atomic.Int64
	outside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { pings.Add(1) }))
	defer outside.Close()
	m := newMission(t)
	data := m.path("d")
	m.startCoordinator(data, "--heartbeat-url", outside.URL, "--heartbeat-every", "1s")
	m.startAgents(data)
	m.becomes(data, "NC1", mesh.Operational)
	metrics := m.get("/metrics")
	for _, want := range []string{
		`probemesh_judging 1`, `probemesh_judge_lag_messages [0-9]`, `probemesh_judge_lag_seconds [0-9]`, `probemesh_view_lag_events 0`,
		`probemesh_last_tick_timestamp_seconds 1`, `probemesh_stream_bytes{stream="OBS"} [1-9]`, `probemesh_stream_messages{stream="LEDGER"} [1-9]`,
		`probemesh_agent_queued_observations{agent="NC1"} [0-9]`, `probemesh_agent_clock_offset_seconds{agent="NC1"} `,
		`probemesh_agent_timer_lag_seconds{agent="NC1"} [0-9]`, `probemesh_agent_info{agent="NC1",catalog="[0-9a-f]+",region="amsterdam",version="[^"]+"} 1`,
		`probemesh_agent_last_word_timestamp_seconds{agent="NC1"} 1`, `probemesh_disk_free_bytes [1-9]`, `probemesh_coordinator_info{version="[^"]+"} 1`,
		`probemesh_warnings 0`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(metrics) {
			t.Errorf("no metric %s", want)
		}
	}
	if body := m.get("/"); !strings.Contains(body, "judges, last message") || !strings.Contains(body, "Stream OBS") {
		t.Error("the overview does not say how the coordinator does:", body)
	}
	m.eventually("somebody outside is told", func() bool { return pings.Load() > 1 })
}

// An agent that falls silent is named in the log, in the command and on the page, and again when it speaks.
func TestASilentAgentIsNamedEverywhere(t *testing.T) {
	testenv.Long(t)
	m := newMission(t)
	data := m.path("d")
	m.startCoordinator(data)
	agents := m.startAgents(data)
	m.becomes(data, "NC1", mesh.Operational)
	m.stop(agents[1])
	m.eventually("the silent agent is named", func() bool {
		return strings.Contains(m.must(m.coordinator, "status", "--data", data), "! silent agents: NC2 since ")
	})
	if !strings.Contains(m.serve.log.String(), "agent=NC2") || !strings.Contains(m.get("/"), "silent agents: NC2 since ") {
		t.Error("the silent agent is not named everywhere")
	}
	m.startAgent("NC2")
	m.eventually("it speaks again", func() bool {
		return !strings.Contains(m.must(m.coordinator, "status", "--data", data), "silent agents") && strings.Contains(m.serve.log.String(), "an agent speaks again")
	})
}

func TestWrongHeartbeatURLIsWrongUsage(t *testing.T) {
	m := newMission(t)
	if _, err := m.run(m.coordinator, "serve", "--data", m.path("d"), "--heartbeat-url", "example.net"); err == nil || !strings.Contains(err.Error(), "name an address as in https://") {
		t.Error(err)
	}
}
