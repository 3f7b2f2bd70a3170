package sla

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Count says what seconds of a kind count as.
type Count string

// The values of Count. Only maintenance may be Excluded.
const (
	CountsExcluded Count = "excluded" // in neither part of the ratio
	CountsUp       Count = "up"
	CountsDown     Count = "down"
)

// Credit is what a customer gets back, in percent of the price, for an uptime below a number of percent.
type Credit struct {
	Below   float64 `json:"below"`
	Percent float64 `json:"percent"`
}

// CreditsMax bounds the credits of a method.
const CreditsMax = 20

// Method is how an uptime is counted and what it is compared with. Seconds without data count as nothing: the mesh
// knows neither an outage nor that there was none.
type Method struct {
	Target      float64  `json:"target"` // percent
	Maintenance Count    `json:"maintenance"`
	Partial     Count    `json:"partial"`
	Credits     []Credit `json:"credits,omitempty"`
}

// DefaultMethod applies where a catalog has none.
func DefaultMethod() Method {
	return Method{Target: 99.9, Maintenance: CountsExcluded, Partial: CountsDown}
}

// Or returns the method, or the default one for nil.
func (m *Method) Or() Method {
	if m == nil {
		return DefaultMethod()
	}
	return *m
}

// Validate reports numbers and words that a method cannot have.
func (m Method) Validate() error {
	switch {
	case !isPercent(m.Target):
		return errors.New("the target is not a percentage")
	case m.Maintenance != CountsExcluded && m.Maintenance != CountsUp && m.Maintenance != CountsDown:
		return fmt.Errorf("maintenance counts as %q", string(m.Maintenance))
	case m.Partial != CountsUp && m.Partial != CountsDown:
		return fmt.Errorf("a partial outage counts as %q", string(m.Partial))
	case len(m.Credits) > CreditsMax:
		return fmt.Errorf("more than %d credits", CreditsMax)
	case slices.ContainsFunc(m.Credits, func(c Credit) bool { return !isPercent(c.Below) || !isPercent(c.Percent) }):
		return errors.New("a credit is not a percentage")
	}
	return nil
}

func isPercent(f float64) bool { return f >= 0 && f <= 100 }

// Ratio is a share of seconds.
type Ratio struct{ Good, Counted int64 }

// Uptime returns the share of the seconds that count as up.
func (m Method) Uptime(t Times) Ratio {
	r := Ratio{t.Up, t.Up + t.Down}
	count := func(seconds int64, as Count) {
		switch as {
		case CountsUp:
			r.Good += seconds
			r.Counted += seconds
		case CountsDown:
			r.Counted += seconds
		}
	}
	count(t.Partial, m.Partial)
	count(t.Maintenance, m.Maintenance)
	return r
}

// Known reports whether any second counts. An uptime of nothing is neither 0 nor 100 percent.
func (r Ratio) Known() bool { return r.Counted > 0 }

// thousandths returns the ratio in thousandths of a percent, rounded down: only a ratio without a bad second is 100 %.
func (r Ratio) thousandths() int64 {
	const whole = 100_000
	// A period of 500 years has 2e10 seconds, so the product fits.
	return r.Good * whole / r.Counted
}

// Percent returns the ratio in percent with three decimals, rounded down; nil if nothing is known.
func (r Ratio) Percent() *float64 {
	if !r.Known() {
		return nil
	}
	p := float64(r.thousandths()) / 1000
	return &p
}

// String is the ratio for people: "100 %", "99.996 %", or "no data".
func (r Ratio) String() string {
	if !r.Known() {
		return "no data"
	}
	t := r.thousandths()
	if t == 100_000 {
		return "100 %"
	}
	return fmt.Sprintf("%d.%03d %%", t/1000, t%1000)
}

// below reports whether the ratio is less than a number of percent. The comparison is exact to six decimals of that
// number and does not use the rounded percentage.
func (r Ratio) below(percent float64) bool {
	const decimals = 1e6
	limit := int64(math.Round(percent * decimals))
	return r.Good*int64(100*decimals) < limit*r.Counted
}

// Met reports whether the target was reached; nil if nothing is known.
func (m Method) Met(r Ratio) *bool {
	if !r.Known() {
		return nil
	}
	met := !r.below(m.Target)
	return &met
}

// Credit returns the largest credit that the ratio gives, in percent. What is not known gives none.
func (m Method) Credit(r Ratio) (percent float64) {
	if !r.Known() {
		return 0
	}
	for _, c := range m.Credits {
		if r.below(c.Below) {
			percent = max(percent, c.Percent)
		}
	}
	return percent
}
