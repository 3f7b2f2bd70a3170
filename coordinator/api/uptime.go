package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/sla"
)

const (
	daysDefault = 90
	daysMax     = 400
)

// uptimeJSON is an uptime report without what the customer's contract says of credits.
type uptimeJSON struct {
	From   time.Time    `json:"from"`
	To     time.Time    `json:"to"`
	Method methodJSON   `json:"method"`
	Hosts  []hostUptime `json:"hosts"`
}

type methodJSON struct {
	Target      float64   `json:"target"`
	Maintenance sla.Count `json:"maintenance"`
	Partial     sla.Count `json:"partial"`
}

type hostUptime struct {
	Host    string        `json:"host"`
	Percent *float64      `json:"uptime_percent"` // null without data
	Seconds sla.Times     `json:"seconds"`
	Checks  []checkUptime `json:"checks"`
}

type checkUptime struct {
	Check   string    `json:"check"`
	Percent *float64  `json:"uptime_percent"`
	Seconds sla.Times `json:"seconds"`
}

// uptime answers how long hosts and their checks were up. ?host= selects one, ?month= or ?days= the period.
func (a *API) uptime(w http.ResponseWriter, r *http.Request) error {
	s := a.view.State()
	host := s.Present(r.FormValue("host"))
	if _, ok := s.Host(host); host != "" && !ok {
		return noHost(r.FormValue("host"))
	}
	from, to, err := period(r, s.Snapshot.At)
	if err != nil {
		return err
	}
	key := "uptime\n" + host + "\n" + r.FormValue("month") + "\n" + r.FormValue("days")
	body, _, err := a.reports.Render(r.Context(), s, key, func(ctx context.Context) (string, bool, error) {
		report, err := a.view.Uptime(ctx, host, from, to)
		if err != nil {
			return "", false, err
		}
		data, err := json.MarshalIndent(newUptime(report), "", "  ")
		return string(data), true, err
	})
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, json.RawMessage(body))
}

// period returns the period that a request asks for: the days before now unless it names a month.
func period(r *http.Request, now time.Time) (from, to time.Time, err error) {
	if text := r.FormValue("month"); text != "" {
		from, err := time.Parse("2006-01", text)
		if err != nil || from.After(now) {
			return from, from, web.Errorf(http.StatusBadRequest, "month=%q is not a past month, as in 2025-06", text)
		}
		return from, from.AddDate(0, 1, 0), nil
	}
	days := daysDefault
	if text := r.FormValue("days"); text != "" {
		if days, err = strconv.Atoi(text); err != nil || days < 1 || days > daysMax {
			return from, to, web.Errorf(http.StatusBadRequest, "days=%q is not a number from 1 to %d", text, daysMax)
		}
	}
	to = now.Truncate(time.Second)
	return to.AddDate(0, 0, -days), to, nil
}

func newUptime(r sla.Report) uptimeJSON {
	out := uptimeJSON{
		From: r.From, To: r.To, Method: methodJSON{r.Method.Target, r.Method.Maintenance, r.Method.Partial},
		Hosts: []hostUptime{},
	}
	for _, row := range r.Rows {
		n := len(out.Hosts)
		switch {
		case row.Check == "":
			out.Hosts = append(out.Hosts, hostUptime{row.Host, row.Percent, row.Seconds, []checkUptime{}})
		case n > 0 && out.Hosts[n-1].Host == row.Host:
			h := &out.Hosts[n-1]
			h.Checks = append(h.Checks, checkUptime{row.Check, row.Percent, row.Seconds})
		}
	}
	return out
}
