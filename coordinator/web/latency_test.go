package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/latency"
)

// The public gets the latencies of public hosts without the names of vantages, operators those of all hosts with them.
func TestThePublicReadsLatenciesWithoutVantages(t *testing.T) {
	m := newMarkedMesh(t)
	m.run(40 * time.Second)
	m.hide("NC2")
	hosts := map[web.Audience]int{web.Operators: len(m.catalog.Hosts)}
	for _, h := range m.catalog.Hosts {
		if h.Public {
			hosts[web.Public]++
		}
	}
	for _, audience := range []web.Audience{web.Public, web.Operators} {
		v := web.NewView(m, audience)
		overview, err := v.Overview(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		report, err := v.Latency(t.Context(), web.LatencyQuery{
			By: latency.Hour, From: m.now.Add(-time.Hour), To: m.now,
		})
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]bool{}
		for _, row := range report.Rows {
			named[row.Host] = true
		}
		_, shown := overview["nc2"]
		public := audience == web.Public
		if shown == public || named["NC2"] == public || !named["NC1"] || len(overview) != hosts[audience] {
			t.Errorf("audience %v: %d hosts in the overview, rows of %v", audience, len(overview), named)
		}
		for what, text := range map[string]string{"overview": fmt.Sprint(overview), "report": fmt.Sprint(report)} {
			if strings.Contains(text, mark) == public {
				t.Errorf("audience %v: vantages in the %s: %v", audience, what, public)
			}
		}
	}
}
