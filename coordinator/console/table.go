package console

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/probemesh/probemesh/coordinator/web"
)

// The formats of tables for programs.
const (
	formatCSV  = "csv"
	formatJSON = "json"
	// formatChart is that of a chart which reads its values by itself.
	formatChart = "chart"
)

// table is what a page shows, for programs: ?format=csv and ?format=json.
type table struct {
	name    string   // in ?table=
	columns []string // in lower case, with underscores; keys in JSON
	rows    [][]any  // strings, numbers, booleans, times and durations, in the order of the columns; nil: not known
}

// writeTables answers with the page's tables in a format: in JSON all of them unless ?table= names one, in CSV that
// one, or the first.
func writeTables(w http.ResponseWriter, r *http.Request, format string, at time.Time, tables []table) error {
	if name := r.URL.Query().Get("table"); name != "" {
		tables = slices.DeleteFunc(slices.Clone(tables), func(t table) bool { return t.name != name })
		if len(tables) == 0 {
			return web.Errorf(http.StatusNotFound, "no table %q on this page", name)
		}
	}
	if len(tables) == 0 {
		return web.Errorf(http.StatusNotFound, "this page has no tables")
	}
	w.Header().Set("Cache-Control", "no-store")
	switch format {
	case formatJSON:
		return writeTablesJSON(w, at, tables)
	case formatCSV:
		return tables[0].writeCSV(w)
	}
	return web.Errorf(http.StatusBadRequest, "format %q is not known: use csv or json", format)
}

// writeTablesJSON answers with an object that has the time and an array for each table. It writes row by row: a year by
// hour has tens of thousands.
func writeTablesJSON(w http.ResponseWriter, at time.Time, tables []table) error {
	web.SetMediaType(w.Header(), web.MediaJSON)
	out := bufio.NewWriter(w) // an error of it is that the client has gone
	fmt.Fprintf(out, "{\n  \"at\": %s", jsonOf(at.UTC()))
	for _, t := range tables {
		fmt.Fprintf(out, ",\n  %s: [", jsonOf(t.name))
		for i, row := range t.rows {
			separator := ",\n    {"
			if i == 0 {
				separator = "\n    {"
			}
			for n, value := range row {
				fmt.Fprintf(out, "%s%s: %s", separator, jsonOf(t.columns[n]), jsonOf(plainValue(value)))
				separator = ", "
			}
			_ = out.WriteByte('}')
		}
		_, _ = out.WriteString("\n  ]")
	}
	_, _ = out.WriteString("\n}\n")
	_ = out.Flush()
	return nil
}

// jsonOf encodes a value; one that JSON does not have, such as NaN, as null.
func jsonOf(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		return []byte("null")
	}
	return data
}

// plainValue returns a value as JSON has it: durations in seconds, times in UTC, and null for what is not known.
func plainValue(value any) any {
	switch v := value.(type) {
	case time.Duration:
		return v.Seconds()
	case time.Time:
		if v.IsZero() {
			return nil
		}
		return v.UTC()
	}
	return value
}

func (t table) writeCSV(w http.ResponseWriter) error {
	web.SetMediaType(w.Header(), "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", t.name+".csv"))
	out := csv.NewWriter(w)
	_ = out.Write(t.columns) // fails only if the client has gone
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, value := range row {
			cells[i] = csvCell(value)
		}
		_ = out.Write(cells)
	}
	out.Flush()
	return nil
}

// formulas are the characters with which spreadsheets let a formula begin.
const formulas = "=+-@\t\r\n|%＝＋－＠"

// divided is what begins like a formula after a semicolon: in many countries, spreadsheets divide lines there, and not
// at commas.
var divided = regexp.MustCompile("(;[ \u00a0\ufeff]*)([-=+@|%＝＋－＠])")

// csvCell writes a value. Agents and remote servers write many of the texts, and a spreadsheet takes one that begins
// like a formula for a formula: such a text gets an apostrophe before it.
func csvCell(value any) string {
	switch v := plainValue(value).(type) {
	case nil:
		return ""
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		v = divided.ReplaceAllString(v, "$1'$2")
		trimmed := strings.TrimLeft(v, " \u00a0\ufeff")
		if first, size := utf8.DecodeRuneInString(trimmed); size > 0 && strings.ContainsRune(formulas, first) {
			return "'" + v
		}
		return v
	default:
		return fmt.Sprint(v)
	}
}
