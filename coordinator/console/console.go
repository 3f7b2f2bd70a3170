// Package console is the operators' view: every host, internal ones too, each vantage's latest look, the agents, and metrics.
package console

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/coordinator/page"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Source is what operators see.
type Source interface {
	Current() (*catalog.Catalog, *mesh.Snapshot)
	Changed() <-chan struct{}
	Problems() []string
	Streams(ctx context.Context) ([]bus.StreamInfo, error)
	Counters() map[string]uint64
	Health(ctx context.Context) (health.Report, error)
}

// Config is what the console needs.
type Config struct {
	Source  Source
	Page    http.Handler                          // the site for operators: what the console does not answer itself
	Disk    func() (free, size uint64, err error) // of the data directory; nil where nobody asks
	Version string
	Logger  zerolog.Logger
}

//go:embed templates
var files embed.FS

var templates = template.Must(template.New("").Funcs(page.Funcs()).ParseFS(files, "templates/*.html"))

type console struct {
	Config
	streams *page.Streams

	mu      sync.Mutex
	facts   []fact // about the coordinator itself
	factsAt time.Time
}

const listenersMax = 100 // operators that listen at once

// New is the console's handler. It answers only requests that name this machine, so that a page elsewhere cannot have an
// operator's browser ask it.
func New(c Config) http.Handler {
	s := &console{Config: c, streams: page.NewStreams(page.StreamsConfig{Most: listenersMax, Each: listenersMax})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /matrix", s.page)
	mux.HandleFunc("GET /agents", s.page)
	mux.HandleFunc("GET /console/events", s.events)
	mux.Handle("GET /metrics", newMetrics(c))
	mux.Handle("/", c.Page)
	return local(mux)
}

// local refuses a Host header that names something else than this machine: DNS rebinding.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, fmt.Sprintf("the operators' view is not %q: open it as 127.0.0.1 or localhost", host), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bodies are the console's own pages, by path.
var bodies = map[string]struct {
	title, template string
	view            func(*console, *mesh.Snapshot) any
}{
	"/":       {"For operators", "overview", (*console).overview},
	"/matrix": {"Matrix", "matrix", func(_ *console, s *mesh.Snapshot) any { return newMatrix(s) }},
	"/agents": {"Agents", "agents", func(_ *console, s *mesh.Snapshot) any { return newAgents(s) }},
}

func (s *console) page(w http.ResponseWriter, r *http.Request) {
	c, snapshot := s.Source.Current()
	b := bodies[r.URL.Path]
	body, err := page.Render(templates, b.template, b.view(s, snapshot))
	if err != nil {
		s.Logger.Error().Err(err).Msg("page not rendered")
		http.Error(w, "The page could not be made just now.", http.StatusInternalServerError)
		return
	}
	sheet := page.Sheet{
		Title: b.title + " – " + c.Page.Title, Description: "The operators' view", Brand: c.Page.Title + ": operators",
		Nav:  []page.Link{{Name: "Overview", URL: "/"}, {Name: "Matrix", URL: "/matrix"}, {Name: "Agents", URL: "/agents"}, {Name: "Metrics", URL: "/metrics"}},
		Live: "/console/events?page=" + r.URL.Path, At: snapshot.At, Body: body,
	}
	if err := sheet.Write(w, http.StatusOK); err != nil {
		s.Logger.Debug().Err(err).Msg("client disconnected")
	}
}

// events keeps one of the console's pages up to date.
func (s *console) events(w http.ResponseWriter, r *http.Request) {
	b, ok := bodies[r.FormValue("page")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.streams.Listen(w, r, s.Source.Changed, func(send func(kind, data string) error) error {
		_, snapshot := s.Source.Current()
		body, err := page.Render(templates, b.template, b.view(s, snapshot))
		if err != nil {
			return err
		}
		if err := send("page", string(body)); err != nil {
			return err
		}
		return send("status", fmt.Sprintf(`{"at":%q,"title":%q}`, snapshot.At.UTC().Format(time.RFC3339Nano), b.title))
	})
}

type overviewView struct {
	Problems, Alerts, Advisories []string
	Hosts                        []hostRow
	Agents, Speaking             int
	Self                         []fact
}

type hostRow struct {
	mesh.HostState
	Class, Shape string
}

func (s *console) overview(snapshot *mesh.Snapshot) any {
	v := overviewView{Problems: s.Source.Problems(), Alerts: snapshot.Alerts, Self: s.self()}
	for _, h := range snapshot.Hosts {
		class, shape := page.StatusLook(h.Status)
		v.Hosts = append(v.Hosts, hostRow{h, class, shape})
		for _, c := range h.Checks {
			for _, a := range c.Advisories {
				v.Advisories = append(v.Advisories, fmt.Sprintf("%s %s: %s", h.Name, c.Name, a))
			}
		}
	}
	for _, a := range snapshot.Vantages {
		v.Agents++
		if !a.Silent && !a.Heard.IsZero() {
			v.Speaking++
		}
		for _, advisory := range a.Advisories {
			v.Advisories = append(v.Advisories, fmt.Sprintf("agent %s: %s", a.Name, advisory))
		}
	}
	return v
}

type matrixView struct {
	Vantages []string
	Rows     []matrixRow
}

type matrixRow struct {
	Host, Check, Verdict, Class, Shape string
	Cells                              []matrixCell
}

type matrixCell struct{ Class, Shape, Text, Title string }

func newMatrix(s *mesh.Snapshot) matrixView {
	var v matrixView
	for _, a := range s.Vantages {
		v.Vantages = append(v.Vantages, a.Name)
	}
	for _, h := range s.Hosts {
		for _, c := range h.Checks {
			class, shape := page.VerdictLook(c.Verdict)
			row := matrixRow{Host: h.Name, Check: c.Name, Verdict: string(c.Verdict), Class: class, Shape: shape}
			for _, a := range s.Vantages {
				row.Cells = append(row.Cells, newCell(c, a))
			}
			v.Rows = append(v.Rows, row)
		}
	}
	return v
}

// cellMax is how many letters of a reason a cell shows; the whole is in its title.
const cellMax = 28

// newCell is what a vantage last saw of a check. Of several families the worst stands first.
func newCell(c mesh.CheckState, a mesh.VantageState) matrixCell {
	var edges []mesh.EdgeState
	for _, r := range c.Votes {
		for _, e := range r.Edges {
			if e.Vantage == mesh.Key(a.Name) {
				edges = append(edges, e)
			}
		}
	}
	if len(edges) == 0 {
		return matrixCell{"unknown", "·", "", "does not look at this check"}
	}
	slices.SortStableFunc(edges, func(a, b mesh.EdgeState) int { return int(b.Outcome) - int(a.Outcome) })
	e := edges[0]
	class, shape := page.VoteLook(e.Vote)
	cell := matrixCell{Class: class, Shape: shape, Text: e.RTT.Round(100 * time.Microsecond).String(), Title: "looked " + e.At.UTC().Format(time.RFC3339)}
	switch {
	case e.Vote == mesh.OK:
	case e.Why != "":
		cell.Text = e.Why
	default:
		cell.Text = e.Reason
	}
	if e.Address != "" {
		cell.Title += "; " + e.Address
	}
	// Counted in letters: an agent may report any of them, and most take more than one byte.
	if letters := []rune(cell.Text); len(letters) > cellMax {
		cell.Title, cell.Text = cell.Text+"; "+cell.Title, string(letters[:cellMax-2])+"…"
	}
	return cell
}

type agentRow struct {
	mesh.VantageState
	Class, Shape, State string
}

func newAgents(s *mesh.Snapshot) []agentRow {
	var rows []agentRow
	for _, a := range s.Vantages {
		row := agentRow{a, "up", "●", "speaks"}
		switch {
		case a.Heard.IsZero():
			row.Class, row.Shape, row.State = "unknown", "○", "never heard"
		case a.Silent:
			row.Class, row.Shape, row.State = "down", "■", "silent"
		}
		row.Clock, row.Lag = row.Clock.Round(time.Millisecond), row.Lag.Round(time.Millisecond)
		rows = append(rows, row)
	}
	return rows
}
