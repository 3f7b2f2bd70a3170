package maintenance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a bare machine has no zones

	"github.com/teambition/rrule-go"
)

const (
	// ruleYears is how long a rule goes on at most.
	ruleYears = 10
	ruleMax   = 200 // characters
)

// ruleKeys are the parts of a rule that are accepted. The time of day is that of the start.
var ruleKeys = []string{
	"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "BYWEEKNO", "BYYEARDAY", "WKST",
}

// frequencies are those that are accepted: nobody works on a server every hour.
var frequencies = []string{"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}

// Validate returns an error that says what is wrong with the schedule, and what is possible.
func (s Schedule) Validate(now time.Time) error {
	switch length := s.Length(); {
	case length < LengthMin:
		return fmt.Errorf("end: %s is not after the start, %s", stamp(s.End), stamp(s.Start))
	case length > LengthMax:
		return fmt.Errorf("end: %s after the start: a maintenance lasts at most 90 days", length)
	case s.Overrun < 0 || s.Overrun > OverrunMax:
		return fmt.Errorf("overrun: %s: write at most %s", s.Overrun, OverrunMax)
	case s.Start.After(now.AddDate(AheadYears, 0, 0)):
		return fmt.Errorf("start: %s is more than %d years ahead", stamp(s.Start), AheadYears)
	case s.Rule == "":
		_, err := s.zone()
		return err
	}
	r, err := s.rule()
	if err != nil {
		return err
	}
	starts := r.between(s.Start, s.Start.AddDate(ruleYears, 0, 0))
	switch {
	case len(starts) == 0:
		return fmt.Errorf("rrule: %q has no occurrence", s.Rule)
	case !starts[0].Equal(s.Start):
		return fmt.Errorf("start: %s is no occurrence of the rule %q in %s: its first one is %s", stamp(s.Start), s.Rule,
			r.zone, stamp(starts[0]))
	}
	for i, at := range starts[1:] {
		if at.Sub(starts[i]) < s.Length() {
			return fmt.Errorf("rrule: the occurrence of %s lasts %s and is not over when that of %s begins",
				stamp(starts[i]), s.Length(), stamp(at))
		}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// NormalRule returns a rule as it is stored.
func NormalRule(text string) string {
	return strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(text)), "RRULE:")
}

// starts returns the planned starts of occurrences from a time on, before another.
func (m *Maintenance) starts(from, to time.Time) []time.Time {
	if m.Rule == "" {
		if m.Start.Before(from) || !m.Start.Before(to) {
			return nil
		}
		return []time.Time{m.Start}
	}
	r, err := m.rule()
	if err != nil {
		return []time.Time{m.Start} // a version that reads rules otherwise planned it
	}
	return r.between(from, to)
}

// rule is a recurrence rule of RFC 5545, in a zone. The library counts in local time without a zone: which moments
// those are across daylight saving is decided here, as the RFC has it.
type rule struct {
	option rrule.ROption // without a count, in local time that is written as UTC
	count  int           // 0: no limit
	zone   *time.Location
}

func (s Schedule) rule() (r rule, err error) {
	if len(s.Rule) > ruleMax {
		return r, fmt.Errorf("rrule: %d characters: write at most %d", len(s.Rule), ruleMax)
	}
	if r.zone, err = s.zone(); err != nil {
		return r, err
	}
	first := local(s.Start, r.zone)
	until := first.AddDate(ruleYears, 0, 0)
	var rest []string
	for part := range strings.SplitSeq(s.Rule, ";") {
		key, value, _ := strings.Cut(part, "=")
		switch {
		case !slices.Contains(ruleKeys, key):
			return r, fmt.Errorf("rrule: %q is not possible: use %s; the time of day is that of the start", part,
				strings.Join(ruleKeys, ", "))
		case key == "FREQ" && !slices.Contains(frequencies, value):
			return r, fmt.Errorf("rrule: FREQ=%s is not possible: use %s", value, strings.Join(frequencies, ", "))
		case key == "COUNT":
			if r.count, err = strconv.Atoi(value); err != nil || r.count < 1 {
				return r, fmt.Errorf("rrule: COUNT=%s: write a number from 1", value)
			}
		case key == "UNTIL":
			end, err := parseUntil(value, r.zone)
			if err != nil {
				return r, err
			}
			if end.Before(until) {
				until = end
			}
		default:
			rest = append(rest, part)
		}
	}
	option, err := rrule.StrToROption(strings.Join(rest, ";"))
	if err == nil {
		option.Dtstart, option.Until = first, until
		_, err = rrule.NewRRule(*option)
	}
	if err != nil {
		return r, fmt.Errorf("rrule: %q is not a rule of RFC 5545: %w; write one as in FREQ=WEEKLY;BYDAY=SU", s.Rule, err)
	}
	r.option = *option
	return r, nil
}

// zone returns the zone of the rule. "Local" would be another one on each machine.
func (s Schedule) zone() (*time.Location, error) {
	zone, err := time.LoadLocation(s.Zone)
	if err != nil || s.Zone == "Local" {
		return nil, fmt.Errorf("zone: %q is not known: write an IANA name, as in Europe/London", s.Zone)
	}
	return zone, nil
}

// parseUntil reads the last moment of a rule, which is in UTC, or a day in the zone of the rule.
func parseUntil(value string, zone *time.Location) (time.Time, error) {
	if t, err := time.Parse("20060102T150405Z", value); err == nil {
		return local(t, zone), nil
	}
	if t, err := time.Parse("20060102T150405", value); err == nil {
		return t, nil
	}
	if t, err := time.Parse("20060102", value); err == nil {
		return t.AddDate(0, 0, 1).Add(-time.Second), nil
	}
	return time.Time{}, fmt.Errorf("rrule: UNTIL=%s: write it as in 20261231T235959Z", value)
}

// between returns the occurrences from a time on, before another: at most OccurrencesMax.
func (r rule) between(from, to time.Time) (out []time.Time) {
	all, err := rrule.NewRRule(r.option)
	if err != nil {
		return nil
	}
	next, n := all.Iterator(), 0
	for {
		written, ok := next()
		if !ok || r.count > 0 && n >= r.count || len(out) >= OccurrencesMax {
			return out
		}
		at, exists := moment(written, r.zone)
		if !exists {
			continue
		}
		n++
		if !at.Before(to) {
			return out
		}
		if !at.Before(from) {
			out = append(out, at)
		}
	}
}

// local returns what clocks in the zone show at a time, written as UTC.
func local(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// moment returns when clocks in the zone show a local time, written as UTC. Of two such moments, when clocks are set
// back, it is the first; a local time that is skipped when they are set forward does not exist, and RFC 5545 has an
// occurrence left out then.
func moment(written time.Time, zone *time.Location) (at time.Time, exists bool) {
	for _, near := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		_, offset := written.Add(near).In(zone).Zone()
		candidate := written.Add(-time.Duration(offset) * time.Second)
		if local(candidate, zone).Equal(written) && (!exists || candidate.Before(at)) {
			at, exists = candidate, true
		}
	}
	return at, exists
}
