package console_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestMetrics(t *testing.T) {
	text := get(t, newConsole(t), "localhost", "/metrics").Body.String()
	for _, want := range []string{
		`probe_success{check="ping",family="ipv4",host="NC036",region="amsterdam",vantage="NC023",vantage_region="london"} 1`,
		`probe_success{check="ping",family="ipv6",host="NC036",region="amsterdam",vantage="NC023",vantage_region="london"} 0`,
		`probe_duration_seconds{check="ping",family="ipv4",host="NC036",region="amsterdam",vantage="NC023",` +
			`vantage_region="london"} 0.012`,
		`probemesh_regions_ok{check="ping",host="NC036",region="amsterdam"}`,
		`probemesh_agent_silent{agent="NC023"} 0`, `probemesh_agent_silent{agent="NC036"} 1`,
		`probemesh_agent_silent{agent="NC041"} 1`, `probemesh_judge_left_out_total{why="malformed"} 3`,
		`probemesh_agent_info{agent="NC041",catalog="",region="",version="�1"} 1`,
		"probemesh_judging 1", "probemesh_judge_lag_messages 5", "probemesh_view_lag_events 2",
		`probemesh_incident_open{host="NC036",region="amsterdam"} 0`,
		`probemesh_certificate_expiry_timestamp_seconds{check="ping",host="NC036",region="amsterdam"} 2e+09`,
		`probemesh_notifications_sent_total{channel="hook"} 5`,
		`probemesh_notification_failures_total{channel="hook"} 2`, `probemesh_notifications_waiting{channel="hook"} 1`,
		`probemesh_advisories{kind="disk"} 1`, `probemesh_advisories{kind="silent-agent"} 0`,
		`probemesh_stream_bytes{stream="OBS"} 3.145728e+06`, `probemesh_coordinator_info{version="1.2"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
	// One spelling of a name in all series, or joins of them are empty.
	if found := regexp.MustCompile(`(?:host|vantage|agent)="nc[0-9]+"`).FindString(text); found != "" {
		t.Errorf("%s is not as the catalog spells it", found)
	}
}

// TestEveryStatusAndVerdictHasASeries: avg_over_time of a series that is only there while it is 1 is always 1.
func TestEveryStatusAndVerdictHasASeries(t *testing.T) {
	text := get(t, newConsole(t), "localhost", "/metrics").Body.String()
	value := func(v mesh.Verdict, now mesh.Verdict) string {
		if v == now {
			return "1"
		}
		return "0"
	}
	for _, v := range mesh.Verdicts() {
		want := `probemesh_check_verdict{check="ping",host="NC036",region="amsterdam",verdict="` + string(v) + `"} ` +
			value(v, mesh.Up) + "\n"
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
	for _, s := range mesh.Statuses() {
		want := `probemesh_host_status{host="NC036",region="amsterdam",status="` + string(s) + `"} ` +
			value(mesh.Verdict(s), mesh.Verdict(mesh.Operational)) + "\n"
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
}

// A ping that was lost and counts as good, since the host is alive, has no duration.
func TestAFilteredPingHasNoDuration(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	for i := range s.Snapshot.Hosts {
		s.Snapshot.Hosts[i].Checks = nil
	}
	s.Snapshot.Hosts[0].Checks = []mesh.CheckState{{Name: "ping", Votes: []mesh.RegionVote{{Edges: []mesh.EdgeState{
		{Vantage: "nc023", Vote: mesh.OK, Outcome: mesh.Unreachable, RTT: 2 * time.Second},
	}}}}}
	h := console.New(console.Config{Source: source{s}, Site: notFound, Logger: zerolog.Nop()})
	text := get(t, h, "localhost", "/metrics").Body.String()
	if !strings.Contains(text, "\nprobe_success{") || strings.Contains(text, "\nprobe_duration_seconds{") {
		t.Error("a lost ping is no success, or took a time")
	}
}

// Prometheus can read all of it, and its own linter finds nothing.
func TestMetricsAreValid(t *testing.T) {
	problems, err := promlint.New(get(t, newConsole(t), "localhost", "/metrics").Body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	problems = slices.DeleteFunc(problems, func(p promlint.Problem) bool { return strings.HasPrefix(p.Metric, "go_") })
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
