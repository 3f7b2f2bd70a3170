package sla

import (
	"cmp"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Query selects what a report covers.
type Query struct {
	Include  func(host string) bool // by the host's key
	Host     string                 // if not empty: the only host that Include accepts, by its key
	Public   bool                   // leave out when a host was internal
	Daily    bool                   // measure each day, too
	From, To time.Time              // by the wall clock
	Days     int                    // if positive: so many days before now, instead of From and To
}

// History is what was published about a host, or about one of its checks, that concerns a period.
type History struct {
	Host        string
	Check       string // empty for the host as a whole
	Spans       []Span
	Maintenance []Window
	Hidden      []Window // in which the reader may not see it
}

// Report is how long hosts and checks were up in a period.
type Report struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Method Method    `json:"method"`
	Rows   []Row     `json:"rows"` // a host's own row comes before those of its checks
}

// Row is one host, or one check of it.
type Row struct {
	Host    string `json:"host"`
	Check   string `json:"check,omitempty"`
	Seconds Times  `json:"seconds"`
	// Percent is rounded down to three decimals, so that it is 100 only without a bad second; null without data.
	Percent *float64 `json:"uptime_percent"`
	Met     *bool    `json:"met"`    // whether the target was reached; null without data
	Credit  float64  `json:"credit"` // percent of the price

	// Days are the seconds of each 24 hours of the period, the last of which may be shorter; nil unless asked for.
	Days []Times `json:"-"`

	Uptime Ratio `json:"-"`
}

// NewRow returns the row of a history in a period. Nothing was judged during the gaps.
func NewRow(h History, gaps []Window, m Method, from, to time.Time, daily bool) Row {
	line := New(h.Spans, h.Maintenance, slices.Concat(h.Hidden, gaps))
	row := Row{Host: h.Host, Check: h.Check, Seconds: line.Measure(from, to)}
	if daily {
		row.Days = line.days(from, to)
	}
	return m.Rate(row)
}

// days returns the times of each 24 hours of a period.
func (t Timeline) days(from, to time.Time) (out []Times) {
	for from.Before(to) {
		end := from.Add(24 * time.Hour)
		if end.After(to) {
			end = to
		}
		out = append(out, t.Measure(from, end))
		from = end
	}
	return out
}

// Rate sets what the method makes of the row's seconds.
func (m Method) Rate(r Row) Row {
	r.Uptime = m.Uptime(r.Seconds)
	r.Percent, r.Met, r.Credit = r.Uptime.Percent(), m.Met(r.Uptime), m.Credit(r.Uptime)
	return r
}

// SortRows orders rows by host, each host before its checks. The named hosts come first, in their order. Checks stay in
// the order that they have.
func SortRows(rows []Row, hosts []string) {
	place := map[string]int{}
	for i, h := range hosts {
		place[mesh.Key(h)] = i - len(hosts)
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		hostA, hostB := mesh.Key(a.Host), mesh.Key(b.Host)
		return cmp.Or(cmp.Compare(place[hostA], place[hostB]), cmp.Compare(hostA, hostB),
			cmp.Compare(min(len(a.Check), 1), min(len(b.Check), 1)))
	})
}
