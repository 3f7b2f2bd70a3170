package latency

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/rollup"
)

// Request selects what a report covers, by the names that the catalog in force has.
type Request struct {
	Include  func(host string) bool // by the host's key
	Check    string                 // "": all
	Region   string                 // of the vantages; "": all
	By       Step
	Public   bool      // leave out when a host was internal
	From, To time.Time // by the wall clock
}

// Report is how long checks took to answer in a period.
type Report struct {
	From, To time.Time
	By       Step
	Rows     []Row // in the catalog's order; a check without observations has none
	Gaps     []Gap // in which nothing was observed
}

// Row is a check as the vantages of a region saw it.
type Row struct {
	Host, Check, Region string
	Points              []Point
}

// HideVantages removes the names of vantages.
func (r *Report) HideVantages() {
	for _, row := range r.Rows {
		for i := range row.Points {
			row.Points[i].Worst, row.Points[i].Bad = "", 0
		}
	}
}

// Overview is what pages show of every host: by the host's key.
type Overview map[string]HostRecent

// HostRecent is what pages show of a host.
type HostRecent struct {
	// Median is the median round-trip time of this hour and the one before, from other regions than the host's own: of
	// its pings, or of all its checks if none is a ping. Zero without an answer.
	Median time.Duration
	Checks map[string][]Recent // by the check's name, sorted by region
}

// Of returns what pages show of a check, sorted by region.
func (o Overview) Of(host, check string) []Recent { return o[host].Checks[check] }

// WithoutVantages returns a copy that names no vantage.
func WithoutVantages(regions []Recent) []Recent {
	out := slices.Clone(regions)
	for i := range out {
		r := &out[i]
		r.Now.Bad = nil
		r.Day.Worst, r.Day.Bad = "", 0
		r.Hours = r.Hours.Map(func(_ int, d rollup.Digest) rollup.Digest {
			d.Worst, d.Bad = "", 0
			return d
		})
	}
	return out
}

// Period is a time by the wall clock, and how it is divided.
type Period struct {
	From, To time.Time
	Step     time.Duration // whole minutes, the first of which is that of From; zero: one minute
}

// MinutesRequest selects what vantages together observed of a check, by the names that a catalog has.
type MinutesRequest struct {
	Host, Check string
	Vantages    []string
	Period
}

// VantageLoss is how many probes of a check a vantage sent in a period, and how many of them were lost.
type VantageLoss struct {
	Host, Check, Vantage string // names
	Sent, Lost           uint64
}
