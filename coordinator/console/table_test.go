package console

import (
	"encoding/json"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Agents write many of the texts, and a spreadsheet computes a cell that begins like a formula.
func TestCellsOfCSVAreNoFormulas(t *testing.T) {
	for value, want := range map[any]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1",
		" =1": "' =1", "|calc": "'|calc", "ping": "ping", "a;=1": "a;'=1",
		"a; @b; +1": "a; '@b; '+1", "a; b=1; c-d": "a; b=1; c-d", "": "", -1.5: "-1.5", -3: "-3", true: "true",
	} {
		if got := csvCell(value); got != want {
			t.Errorf("%v: %q, want %q", value, got, want)
		}
	}
	if got := csvCell(nil); got != "" {
		t.Errorf("a value that is not known: %q", got)
	}
}

// Tables in JSON have a line for each row: a year by hour has tens of thousands.
func TestTablesInJSON(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 31, 0, 0, time.UTC)
	w := httptest.NewRecorder()
	err := writeTablesJSON(w, at, []table{
		{"latency", []string{"region", "at", "p50_seconds", "sent"}, [][]any{
			{`lu"saka`, at, 1500 * time.Millisecond, uint64(7)}, {"<sydney>", time.Time{}, nil, math.NaN()},
		}},
		{name: "changes"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		At      time.Time
		Latency []struct {
			Region string
			At     *time.Time
			P50    *float64 `json:"p50_seconds"`
			Sent   *uint64
		}
		Changes []any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err, w.Body)
	}
	if !got.At.Equal(at) || len(got.Latency) != 2 || got.Changes == nil {
		t.Fatalf("%s", w.Body)
	}
	first, second := got.Latency[0], got.Latency[1]
	if first.Region != `lu"saka` || !first.At.Equal(at) || *first.P50 != 1.5 || *first.Sent != 7 ||
		second.Region != "<sydney>" || second.At != nil || second.P50 != nil || second.Sent != nil {
		t.Errorf("%s", w.Body)
	}
	if n := strings.Count(w.Body.String(), "\n    {"); n != 2 || strings.Contains(w.Body.String(), "<") {
		t.Errorf("%d rows:\n%s", n, w.Body)
	}
}
