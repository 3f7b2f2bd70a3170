package main

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/sla"
)

func uptimeOf(host, check string, t sla.Times) sla.Row {
	m := sla.DefaultMethod()
	m.Credits = []sla.Credit{{Below: 99.9, Percent: 10}}
	return m.Rate(sla.Row{Host: host, Check: check, Seconds: t})
}

var juneReport = sla.Report{
	From: time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2025, 7, 1, 0, 0, 0, 0, time.UTC),
	Method: sla.DefaultMethod(),
	Rows: []sla.Row{
		uptimeOf("NC036", "", sla.Times{Up: 2_591_900, Down: 100}),
		uptimeOf("NC036", "=HYPERLINK(1)", sla.Times{Up: 2_588_000, Down: 3661, Maintenance: 339}),
		uptimeOf("NC041", "", sla.Times{NoData: 2_592_000}),
	},
}

func TestUptimesAsText(t *testing.T) {
	var out strings.Builder
	if err := (uptimeReport{terms: true}).write(&out, juneReport); err != nil {
		t.Fatal(err)
	}
	want := `From 2025-06-01 00:00:00Z to 2025-07-01 00:00:00Z; maintenance counts as excluded, a partial outage as down
Target 99.9 %

HOST   CHECK          UPTIME    TARGET   CREDIT  DOWN         PARTIAL  MAINTENANCE  NO DATA
NC036  -              99.996 %  met      -       1 min 40 s   -        -            -
NC036  =HYPERLINK(1)  99.858 %  missed   10 %    1 h 1 min 1 s  -      5 min 39 s   -
NC041  -              no data   unknown  -       -            -        -            30 d
`
	squeeze := func(text string) []string {
		var lines []string
		for _, line := range strings.Split(text, "\n") {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		return lines
	}
	if diff := cmp.Diff(squeeze(want), squeeze(out.String())); diff != "" {
		t.Error(diff)
	}
}

// A spreadsheet runs a cell that begins like a formula.
func TestUptimesAsCSV(t *testing.T) {
	var out strings.Builder
	if err := writeUptimeCSV(&out, juneReport); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
	if err != nil || len(lines) != 4 {
		t.Fatal(lines, err)
	}
	want := []string{"2025-06-01T00:00:00Z", "2025-07-01T00:00:00Z", "NC036", "'=HYPERLINK(1)", "99.858", "99.9",
		"false", "10", "2588000", "3661", "0", "339", "0"}
	if diff := cmp.Diff(want, lines[2]); diff != "" {
		t.Error(diff)
	}
	if lines[3][4] != "" || lines[3][6] != "" {
		t.Errorf("without data: %q", lines[3])
	}
	for _, text := range []string{"=1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "|x", "%x", "＝1", "－1"} {
		if got := spreadsheetText(text); got != "'"+text {
			t.Errorf("%q is written as %q", text, got)
		}
	}
	for _, text := range []string{"", "ping", "Sending mail", "a=b"} {
		if got := spreadsheetText(text); got != text {
			t.Errorf("%q is written as %q", text, got)
		}
	}
}

func TestThePeriodOfAReport(t *testing.T) {
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	day := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }
	u := uptimeReport{period: func(now time.Time) (time.Time, time.Time) { return now, now }}
	for month, want := range map[string][2]time.Time{
		"": {now, now}, "2025-12": {day(2025, 12, 1), day(2026, 1, 1)}, "2026-01": {day(2026, 1, 1), day(2026, 2, 1)},
	} {
		if from, to, err := u.between(month, now); err != nil || from != want[0] || to != want[1] {
			t.Errorf("%q is from %v to %v (%v)", month, from, to, err)
		}
	}
	for _, month := range []string{"2026-02", "2025", "June", "2025-13"} {
		if _, _, err := u.between(month, now); err == nil {
			t.Errorf("%q is a month", month)
		}
	}
}
