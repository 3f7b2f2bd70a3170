package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/rollup"
)

// pointsMax bounds the points of one answer, some 200 bytes each.
const pointsMax = 20_000

// The periods of a request that names none.
var latencyPeriods = map[latency.Step]time.Duration{latency.Hour: 48 * time.Hour, latency.Day: 90 * 24 * time.Hour}

// latencyJSON is how long checks took to answer. Times are milliseconds.
type latencyJSON struct {
	From     time.Time     `json:"from"`
	To       time.Time     `json:"to"`
	By       latency.Step  `json:"by"`
	Accuracy float64       `json:"accuracy"` // the relative error of a quantile
	Gaps     []gapJSON     `json:"gaps"`     // in which nothing was observed
	Hosts    []hostLatency `json:"hosts"`
}

type gapJSON struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

type hostLatency struct {
	Host   string         `json:"host"`
	Checks []checkLatency `json:"checks"`
}

type checkLatency struct {
	Check   string          `json:"check"`
	Regions []regionLatency `json:"regions"`
}

type regionLatency struct {
	Region string         `json:"region"`
	Points []latencyPoint `json:"points"` // one without observations is missing
}

type latencyPoint struct {
	At time.Time `json:"at"`
	rollup.Outcomes
	Sent  uint64   `json:"sent"`
	Lost  uint64   `json:"lost"`
	P50   *float64 `json:"p50_ms"` // null without an answer
	P90   *float64 `json:"p90_ms"`
	P95   *float64 `json:"p95_ms"`
	P99   *float64 `json:"p99_ms"`
	Worst *worst   `json:"worst,omitempty"` // for operators
}

// worst is the vantage with the most unreachable observations.
type worst struct {
	Vantage     string `json:"vantage"`
	Unreachable uint64 `json:"unreachable"`
}

// latency answers how long checks took to answer, by region and hour or day. ?host=, ?check= and ?region= select, ?by=
// is the step, ?from= and ?to= the period.
func (a *API) latency(w http.ResponseWriter, r *http.Request) error {
	s := a.view.State()
	q, err := latencyQuery(r, s)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("latency %+q", q)
	body, _, err := a.reports.Render(r.Context(), s, key, func(ctx context.Context) (string, bool, error) {
		report, err := a.view.Latency(ctx, q)
		if err != nil {
			return "", false, err
		}
		data, err := json.Marshal(newLatency(report))
		return string(data), true, err
	})
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, json.RawMessage(body))
}

func latencyQuery(r *http.Request, s web.State) (q web.LatencyQuery, err error) {
	q = web.LatencyQuery{Host: r.FormValue("host"), Check: r.FormValue("check"), Region: r.FormValue("region")}
	if q.By = latency.Step(r.FormValue("by")); q.By == "" {
		q.By = latency.Hour
	}
	if q.By != latency.Hour && q.By != latency.Day {
		return q, web.Errorf(http.StatusBadRequest, "by=%q is neither hour nor day", r.FormValue("by"))
	}
	if h, moved := s.Moved(q.Host); moved {
		q.Host = h.Name
	}
	h, ok := s.Host(mesh.Key(q.Host))
	if q.Host != "" && !ok {
		return q, noHost(r.FormValue("host"))
	}
	if in := s.Catalog.Host(mesh.Key(h.Name)); q.Check != "" && in != nil {
		check := s.Catalog.CheckOnceNamed(in, q.Check)
		if check == nil {
			return q, web.Errorf(http.StatusNotFound, "host %s has no check %q", h.Name, q.Check)
		}
		q.Check = check.Name
	}
	if q.Region != "" && s.Catalog.Region(q.Region) == nil {
		return q, web.Errorf(http.StatusNotFound, "no region %q", q.Region)
	}
	if q.To, err = moment(r, "to", s.Snapshot.At); err != nil {
		return q, err
	}
	if q.From, err = moment(r, "from", q.To.Add(-latencyPeriods[q.By])); err != nil {
		return q, err
	}
	return q, checkPoints(q, s)
}

// moment reads a time of a request: RFC 3339, or a day in UTC.
func moment(r *http.Request, name string, otherwise time.Time) (time.Time, error) {
	text := r.FormValue(name)
	if text == "" {
		return otherwise.Truncate(time.Second), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil && at.Year() >= 1970 && at.Year() < 2200 {
			return at, nil
		}
	}
	return otherwise, web.Errorf(http.StatusBadRequest,
		"%s=%q is not a time in RFC 3339 or a day, as in 2026-01-31T02:31:00Z or 2026-01-31", name, text)
}

// checkPoints refuses a query whose answer could be too large.
func checkPoints(q web.LatencyQuery, s web.State) error {
	if !q.From.Before(q.To) {
		return web.Errorf(http.StatusBadRequest, "from=%s is not before to=%s",
			q.From.UTC().Format(time.RFC3339), q.To.UTC().Format(time.RFC3339))
	}
	checks, regions := 0, len(s.Catalog.Regions)
	for _, h := range s.Hosts() {
		if q.Host == "" || mesh.Key(q.Host) == mesh.Key(h.Name) {
			checks += len(h.Checks)
		}
	}
	if q.Check != "" && q.Host != "" {
		checks = 1
	}
	if q.Region != "" {
		regions = 1
	}
	steps := int64(q.To.Sub(q.From)/q.By.Duration()) + 1
	if n := steps * int64(checks) * int64(regions); n > pointsMax {
		return web.Errorf(http.StatusBadRequest, "that is up to %d points, more than %d: name a host, a check or a region, "+
			"or ask for a shorter period or by=day", n, pointsMax)
	}
	return nil
}

func newLatency(r latency.Report) latencyJSON {
	out := latencyJSON{
		From: r.From, To: r.To, By: r.By, Accuracy: rollup.Accuracy, Gaps: []gapJSON{}, Hosts: []hostLatency{},
	}
	for _, g := range r.Gaps {
		out.Gaps = append(out.Gaps, gapJSON{g.From.Truncate(time.Second), g.To.Truncate(time.Second)})
	}
	for _, row := range r.Rows {
		n := len(out.Hosts)
		if n == 0 || out.Hosts[n-1].Host != row.Host {
			out.Hosts = append(out.Hosts, hostLatency{row.Host, []checkLatency{}})
			n++
		}
		h := &out.Hosts[n-1]
		n = len(h.Checks)
		if n == 0 || h.Checks[n-1].Check != row.Check {
			h.Checks = append(h.Checks, checkLatency{row.Check, []regionLatency{}})
			n++
		}
		c := &h.Checks[n-1]
		region := regionLatency{row.Region, make([]latencyPoint, len(row.Points))}
		for i, p := range row.Points {
			region.Points[i] = newLatencyPoint(p)
		}
		c.Regions = append(c.Regions, region)
	}
	return out
}

func newLatencyPoint(p latency.Point) latencyPoint {
	out := latencyPoint{At: p.At, Outcomes: p.Outcomes, Sent: p.Sent, Lost: p.Lost}
	if p.Answered() {
		out.P50, out.P90 = milliseconds(p.P50), milliseconds(p.P90)
		out.P95, out.P99 = milliseconds(p.P95), milliseconds(p.P99)
	}
	if p.Worst != "" {
		out.Worst = &worst{p.Worst, p.Bad}
	}
	return out
}

// milliseconds rounds to a microsecond: a quantile is less accurate than that.
func milliseconds(d time.Duration) *float64 {
	ms := float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
	return &ms
}
