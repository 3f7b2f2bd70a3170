package web

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"
)

// Chart is values over time, drawn by uPlot where scripts run, and as a table everywhere.
type Chart struct {
	ID     string // of the element, unique on the page
	Label  string // what the drawing shows, for screen readers
	Unit   string // "ms"
	From   time.Time
	Step   time.Duration // between two values of a series
	Series []ChartSeries
	Marks  []ChartMark
	// TableAt is the address of a page with the table, if this one is to be smaller without it.
	TableAt string
	// Source is the address of the chart's data on this site, in the JSON of ChartData. If it is set, the page carries
	// neither data nor a table of them.
	Source string
	// Table is the chart whose values the page has as a table, if those of this one are too many; nil: its own.
	Table *Chart
}

// ChartSeries is one line of a chart. A value that is NaN is a gap.
type ChartSeries struct {
	Name   string
	Values []float64
	// Mid and High are the upper edges of a dark band above the line and of a light one above that, p90 and p99; empty
	// for none.
	Mid, High []float64
	// Lost are the percent of probes that were lost, which color the line; empty for none.
	Lost []float64
}

// ChartMark is a period that a chart shades. One without an end is a moment, drawn as a vertical line: what goes on
// ends with the present.
type ChartMark struct {
	Name     string
	From, To time.Time
	Quiet    bool // no outage, but what may explain the values: drawn in gray
}

// MarksSince returns the marks that a chart from a time on shows.
func MarksSince(marks []ChartMark, from time.Time) []ChartMark {
	return slices.DeleteFunc(slices.Clone(marks), func(m ChartMark) bool {
		return m.From.Before(from) && m.To.Before(from)
	})
}

// ChartData is a chart as its script reads it.
type ChartData struct {
	Unit   string          `json:"unit"`
	From   int64           `json:"from"` // Unix seconds
	Step   int64           `json:"step"` // seconds
	Series []chartDataLine `json:"series"`
	Marks  []chartDataMark `json:"marks,omitempty"`
}

type chartDataLine struct {
	Name   string      `json:"name"`
	Values chartValues `json:"values"`
	Mid    chartValues `json:"mid,omitempty"`
	High   chartValues `json:"high,omitempty"`
	Lost   chartValues `json:"lost,omitempty"`
}

type chartDataMark struct {
	Name  string `json:"name"`
	From  int64  `json:"from"`
	To    int64  `json:"to,omitempty"`
	Quiet bool   `json:"quiet,omitempty"`
}

// chartValues are encoded with one decimal, and gaps as null.
type chartValues []float64

func (v chartValues) MarshalJSON() ([]byte, error) {
	parts := make([]string, len(v))
	for i, x := range v {
		if parts[i] = "null"; !math.IsNaN(x) {
			parts[i] = strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0")
		}
	}
	return []byte("[" + strings.Join(parts, ",") + "]"), nil
}

// losses returns Lost, or nil where nothing was lost: most charts are of this kind, and are shorter without.
func (s ChartSeries) losses() chartValues {
	if slices.ContainsFunc(s.Lost, func(percent float64) bool { return percent > 0 }) {
		return s.Lost
	}
	return nil
}

// Data returns the chart as its script reads it.
func (c Chart) Data() ChartData {
	d := ChartData{Unit: c.Unit, From: c.From.Unix(), Step: int64(c.Step / time.Second), Series: []chartDataLine{}}
	for _, s := range c.Series {
		d.Series = append(d.Series, chartDataLine{s.Name, s.Values, s.Mid, s.High, s.losses()})
	}
	for _, m := range c.Marks {
		mark := chartDataMark{Name: m.Name, From: m.From.Unix(), Quiet: m.Quiet}
		if !m.To.IsZero() {
			mark.To = m.To.Unix()
		}
		d.Marks = append(d.Marks, mark)
	}
	return d
}

// chartClass marks the element of a chart. A page whose body has one loads the files of charts.
const chartClass = `<figure class="chart"`

// HTML returns the chart for the body of a page.
func (c Chart) HTML() (template.HTML, error) {
	shown := struct {
		Chart
		JSON    template.JS
		Table   *Chart // nil: the page has none
		Columns []chartColumn
		Rows    []chartRow
	}{Chart: c, Table: c.Table}
	if c.Source == "" {
		data, err := json.Marshal(c.Data()) // escapes <, > and &, as a script element needs
		if err != nil {
			return "", fmt.Errorf("encode chart %s: %w", c.ID, err)
		}
		shown.JSON = template.JS(data)
		if shown.Table == nil {
			shown.Table = &c
		}
	}
	if shown.Table != nil && c.TableAt == "" {
		shown.Columns, shown.Rows = shown.Table.columns(), shown.Table.rows()
	}
	return Render(layoutTemplate, "chart.html", shown)
}

// columns returns the columns of the chart's table: each line has one, and one for each edge of its band.
func (c Chart) columns() (out []chartColumn) {
	for _, s := range c.Series {
		out = append(out, chartColumn{s.Name, s.Values})
		for _, edge := range []chartColumn{{s.Name + " p90", s.Mid}, {s.Name + " p99", s.High}} {
			if len(edge.values) > 0 {
				out = append(out, edge)
			}
		}
	}
	return out
}

// chartColumn is a column of a chart's table.
type chartColumn struct {
	Name   string
	values []float64
}

// chartRow is a row of a chart's table: a moment and the value of each column.
type chartRow struct {
	At     time.Time
	Values []string
}

// rows returns the table of a chart, newest first. Moments without any value have no row.
func (c Chart) rows() (rows []chartRow) {
	columns, length := c.columns(), 0
	for _, column := range columns {
		length = max(length, len(column.values))
	}
	for n := length - 1; n >= 0; n-- {
		row, known := chartRow{At: c.From.Add(time.Duration(n) * c.Step)}, false
		for _, column := range columns {
			text := "–"
			if n < len(column.values) && !math.IsNaN(column.values[n]) {
				text, known = fmt.Sprintf("%.3g", column.values[n]), true
				if column.values[n] >= 100 {
					text = fmt.Sprintf("%.0f", column.values[n])
				}
			}
			row.Values = append(row.Values, text)
		}
		if known {
			rows = append(rows, row)
		}
	}
	return rows
}

// Daily reports whether a value of the chart is one of a whole day.
func (c Chart) Daily() bool { return c.Step >= 24*time.Hour }
