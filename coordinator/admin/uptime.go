package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// uptimeDays is how many days before now a report without a period is about.
const uptimeDays = 90

// uptime reports how long a host, or every host, was up in a period, and its checks.
func (h handler) uptime(_ http.ResponseWriter, r *http.Request) (_ any, err error) {
	q := sla.Query{Days: uptimeDays}
	if r.FormValue("from") != "" {
		q.Days = 0
		if q.From, err = parseTime(r.FormValue("from")); err != nil {
			return nil, err
		}
		if q.To, err = parseTime(r.FormValue("to")); err != nil {
			return nil, err
		}
	}
	host := mesh.Key(r.FormValue("host"))
	c, _ := h.Engine.Current()
	if now := c.FormerHost(host); now != nil {
		host = now.Key()
	}
	q.Include = func(key string) bool { return host == "" || key == host }
	report, err := h.History.Uptime(r.Context(), c, q)
	if err == nil && host != "" && len(report.Rows) == 0 {
		err = errkind.New(errkind.NotFound,
			fmt.Sprintf("no host %q has checks, and none of that name had any in this period", r.FormValue("host")))
	}
	return report, err
}

// Uptime reports how long a host and its checks, or for "" all, were up in a period; if that is zero, in the last 90
// days.
func (c *Client) Uptime(ctx context.Context, host string, from, to time.Time) (report sla.Report, err error) {
	query := url.Values{"host": {host}}
	if !from.IsZero() {
		query.Set("from", from.Format(time.RFC3339Nano))
		query.Set("to", to.Format(time.RFC3339Nano))
	}
	err = c.call(ctx, http.MethodGet, "/uptime", query, nil, &report)
	for i, row := range report.Rows {
		report.Rows[i] = report.Method.Rate(row)
	}
	return report, err
}
