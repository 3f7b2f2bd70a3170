package maintenance_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/maintenance"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

func recurring(zone, rule, start string, length time.Duration) *maintenance.Maintenance {
	s := at(start)
	return &maintenance.Maintenance{
		ID:       "m",
		Schedule: maintenance.Schedule{Start: s, End: s.Add(length), Rule: rule, Zone: zone},
		Changes:  []maintenance.Change{{ID: "c", Action: maintenance.Plan, At: s.Add(-time.Hour)}},
	}
}

// A nightly maintenance stays at its local time over both jumps of the year: left out where clocks skip the time, at
// the first of the two where they show it twice, and as long as planned where the jump is inside it.
func TestRecurrencesFollowTheirZone(t *testing.T) {
	for name, test := range map[string]struct {
		zone, start string
		want        []string // all starts of the following days, UTC
	}{
		"London, forward, skipped": {"Europe/London", "2026-03-27T01:30:00Z", []string{
			"2026-03-27T01:30:00Z", "2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z",
		}},
		"London, forward, after it": {"Europe/London", "2026-03-28T02:30:00Z", []string{
			"2026-03-28T02:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T01:30:00Z",
		}},
		"London, back, twice": {"Europe/London", "2026-10-24T00:30:00Z", []string{
			"2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z",
		}},
		"New York, forward, skipped": {"America/New_York", "2026-03-07T07:30:00Z", []string{
			"2026-03-07T07:30:00Z", "2026-03-09T06:30:00Z",
		}},
		"New York, back, twice": {"America/New_York", "2026-10-31T05:30:00Z", []string{
			"2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z",
		}},
		"Sydney, forward, skipped": {"Australia/Sydney", "2026-10-02T16:30:00Z", []string{ // 02:30 on the 3rd
			"2026-10-02T16:30:00Z", "2026-10-04T15:30:00Z",
		}},
		"Sydney, back, twice": {"Australia/Sydney", "2026-04-03T15:30:00Z", []string{ // 02:30 on the 4th
			"2026-04-03T15:30:00Z", "2026-04-04T15:30:00Z", "2026-04-05T16:30:00Z",
		}},
		"UTC has no jumps": {"", "2026-03-28T01:30:00Z", []string{
			"2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T01:30:00Z",
		}},
	} {
		m := recurring(test.zone, "FREQ=DAILY", test.start, 90*time.Minute)
		if err := m.Validate(m.Announced()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		last := at(test.want[len(test.want)-1])
		var got []string
		for _, o := range m.Occurrences(m.Start, last.Add(time.Minute), m.Announced()) {
			got = append(got, o.Start.Format(time.RFC3339))
			if o.End.Sub(o.Start) != 90*time.Minute {
				t.Errorf("%s: that of %s lasts %s", name, o.Start, o.End.Sub(o.Start))
			}
		}
		if strings.Join(got, " ") != strings.Join(test.want, " ") {
			t.Errorf("%s:\n got %v\nwant %v", name, got, test.want)
		}
	}
}

// What RFC 5545 leaves out is not counted, and the last moment of a rule is in UTC or a day in its zone.
func TestRulesEnd(t *testing.T) {
	for rule, want := range map[string]string{
		"FREQ=DAILY;COUNT=3":                          "2026-03-30T00:30:00Z", // 29 March is skipped
		"FREQ=DAILY;UNTIL=20260330T003000Z":           "2026-03-30T00:30:00Z",
		"FREQ=DAILY;UNTIL=20260330T002959Z":           "2026-03-28T01:30:00Z",
		"FREQ=DAILY;UNTIL=20260330":                   "2026-03-30T00:30:00Z",
		"FREQ=MONTHLY;BYDAY=-1FR;COUNT=2":             "2026-04-24T00:30:00Z",
		"FREQ=WEEKLY;INTERVAL=2;BYDAY=FR,SU;COUNT=3":  "2026-04-12T00:30:00Z",
		"FREQ=YEARLY;COUNT=2":                         "2027-03-27T01:30:00Z",
		"FREQ=MONTHLY;BYDAY=FR;BYSETPOS=-1;COUNT=3":   "2026-05-29T00:30:00Z",
		"FREQ=DAILY;BYMONTH=3;UNTIL=20260401T120000Z": "2026-03-31T00:30:00Z",
	} {
		m := recurring("Europe/London", rule, "2026-03-27T01:30:00Z", time.Hour)
		if err := m.Validate(m.Announced()); err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		all := m.Occurrences(m.Start, m.Start.AddDate(2, 0, 0), m.Announced())
		if got := all[len(all)-1].Start.Format(time.RFC3339); got != want {
			t.Errorf("%s ends with %s, want %s", rule, got, want)
		}
	}
}

func TestSchedulesAreBounded(t *testing.T) {
	now := at("2026-03-01T00:00:00Z")
	for name, test := range map[string]struct {
		schedule maintenance.Schedule
		says     string
	}{
		"ends before it begins": {maintenance.Schedule{Start: now, End: now.Add(-time.Hour)}, "end:"},
		"nothing":               {maintenance.Schedule{Start: now, End: now}, "not after the start"},
		"a year":                {maintenance.Schedule{Start: now, End: now.AddDate(1, 0, 0)}, "90 days"},
		"far ahead":             {maintenance.Schedule{Start: now.AddDate(6, 0, 0), End: now.AddDate(6, 0, 1)}, "5 years"},
		"zone":                  {maintenance.Schedule{Start: now, End: now.Add(time.Hour), Zone: "London"}, "IANA"},
		"this machine's zone":   {maintenance.Schedule{Start: now, End: now.Add(time.Hour), Zone: "Local"}, "IANA"},
		"path": {maintenance.Schedule{Start: now, End: now.Add(time.Hour), Zone: "../etc/passwd",
			Rule: "FREQ=DAILY"}, "IANA"},
		"hourly": {maintenance.Schedule{Start: now, End: now.Add(time.Hour), Rule: "FREQ=HOURLY"}, "DAILY"},
		"seconds": {maintenance.Schedule{Start: now, End: now.Add(time.Hour), Rule: "FREQ=DAILY;BYSECOND=1,2"},
			"BYSECOND"},
		"no frequency": {maintenance.Schedule{Start: now, End: now.Add(time.Hour), Rule: "BYDAY=SU"}, "RFC 5545"},
		"nonsense":     {maintenance.Schedule{Start: now, End: now.Add(time.Hour), Rule: "every sunday"}, "rrule:"},
		"count":        {maintenance.Schedule{Start: now, End: now.Add(time.Hour), Rule: "FREQ=DAILY;COUNT=0"}, "COUNT"},
		"until":        {maintenance.Schedule{Start: now, End: now.Add(time.Hour), Rule: "FREQ=DAILY;UNTIL=x"}, "UNTIL"},
		"never": {maintenance.Schedule{Start: now, End: now.Add(time.Hour),
			Rule: "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "no occurrence"},
		"overlap": {maintenance.Schedule{Start: now, End: now.Add(25 * time.Hour), Rule: "FREQ=DAILY"}, "not over when"},
		"another day": {maintenance.Schedule{Start: now, End: now.Add(time.Hour), Rule: "FREQ=WEEKLY;BYDAY=MO"},
			"first one is 2026-03-02"},
		"long": {maintenance.Schedule{Start: now, End: now.Add(time.Hour),
			Rule: "FREQ=DAILY;BYDAY=" + strings.Repeat("MO,", 100) + "MO"}, "at most 200"},
	} {
		if err := test.schedule.Validate(now); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}

// Whatever the zone, an occurrence is at the same local time as the first, and no two are closer than a day less the
// jump.
func TestOccurrencesKeepTheirLocalTime(t *testing.T) {
	zones := []string{
		"Europe/London", "America/New_York", "Australia/Sydney", "Australia/Lord_Howe", "Africa/Casablanca", "UTC",
		"America/St_Johns", "Pacific/Chatham", "America/Santiago",
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zones).Draw(t, "zone")
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Unix(rapid.Int64Range(1_735_689_600, 1_830_000_000).Draw(t, "start")/60*60, 0).UTC()
		m := recurring(name, "FREQ=DAILY", start.Format(time.RFC3339), time.Hour)
		if m.Validate(m.Announced()) != nil {
			return // the second of two equal local times is no start of a rule
		}
		want := start.In(zone).Format("15:04")
		all := m.Occurrences(start, start.AddDate(1, 0, 0), start)
		if len(all) < 360 {
			t.Fatalf("%d occurrences in a year", len(all))
		}
		for i, o := range all {
			if got := o.Start.In(zone).Format("15:04"); got != want {
				t.Fatalf("%s at %s, want %s", o.Start, got, want)
			}
			if i > 0 && o.Start.Sub(all[i-1].Start) < 22*time.Hour {
				t.Fatalf("%s is too close to %s", o.Start, all[i-1].Start)
			}
		}
	})
}

func FuzzRule(f *testing.F) {
	f.Add("FREQ=WEEKLY;BYDAY=SU", "Europe/London")
	f.Add("FREQ=MONTHLY;BYSETPOS=-1;BYDAY=MO,TU;COUNT=99999999999999999999", "x")
	f.Add("FREQ=YEARLY;INTERVAL=0;BYWEEKNO=99", "")
	f.Fuzz(func(t *testing.T, rule, zone string) {
		start := at("2026-03-01T00:00:00Z")
		s := maintenance.Schedule{Start: start, End: start.Add(time.Hour), Rule: maintenance.NormalRule(rule), Zone: zone}
		if s.Validate(start) != nil {
			return
		}
		m := &maintenance.Maintenance{ID: "m", Schedule: s}
		if all := m.Occurrences(start, start.AddDate(20, 0, 0), start); len(all) > maintenance.OccurrencesMax {
			t.Fatalf("%d occurrences", len(all))
		}
		m.Present(start.AddDate(1, 0, 0))
	})
}
