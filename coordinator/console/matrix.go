package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/matrix"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

const (
	// linesMax is how many hosts the matrix shows at one line each, and how many vantages as columns; above, it shows
	// regions.
	linesMax = 30
	// pageMax is how many hosts of a region a page shows, where a region was chosen: a page stays below 200 kB.
	pageMax = 50
	// allPings is the choice of every host's ping.
	allPings = "ping"
)

// What a cell of the matrix shows.
const (
	showRTT     = "rtt"
	showLoss    = "loss"
	showOutcome = "outcome"
)

// question selects a matrix. It is the query of the page's address, so that each matrix has a permanent link.
type question struct {
	check, show  string
	region, from string // of the hosts, and of the vantages; "": all
	group, label string // of the hosts; a label is "key=value"
	at           string // the moment; "": now
	page         int
}

func newQuestion(q url.Values) (question, error) {
	out := question{
		check: q.Get("check"), show: q.Get("show"), region: q.Get("region"), from: q.Get("from"),
		group: q.Get("group"), label: q.Get("label"), at: q.Get("at"), page: 1,
	}
	switch out.show {
	case "":
		out.show = showRTT
	case showRTT, showLoss, showOutcome:
	default:
		return out, web.Errorf(http.StatusBadRequest, "show=%.50q is not known: use rtt, loss or outcome", out.show)
	}
	if text := q.Get("page"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > catalog.HostsMax {
			return out, web.Errorf(http.StatusBadRequest, "page=%.50q is not the number of a page", text)
		}
		out.page = n
	}
	return out, nil
}

// orDefault chooses the check where the address names none: pings, or the catalog's first check if no host has one.
func (q question) orDefault(c *catalog.Catalog) question {
	if q.check != "" {
		return q
	}
	q.check = allPings
	first := ""
	for i := range c.Hosts {
		for k := range c.Hosts[i].Checks {
			check := &c.Hosts[i].Checks[k]
			if check.Kind == catalog.KindPing {
				return q
			}
			first = cmp.Or(first, check.Name)
		}
	}
	q.check = cmp.Or(first, allPings)
	return q
}

// address returns the address of the matrix with another value of one parameter; "" changes none.
func (q question) address(key, value string) string {
	values := url.Values{}
	for k, v := range map[string]string{
		"check": q.check, "show": q.show, "region": q.region, "from": q.from, "group": q.group, "label": q.label,
		"at": q.at, key: value,
	} {
		if v != "" && !(k == "check" && v == allPings) && !(k == "show" && v == showRTT) {
			values.Set(k, v)
		}
	}
	return addressOf("/matrix", values)
}

// line is one check of one host that the matrix shows.
type line struct {
	host   *mesh.HostState
	check  *mesh.CheckState
	config *catalog.Host
}

// lines returns what the question selects: in the order of the regions, as columns are, so that each host's own place
// is on the diagonal.
func (q question) lines(c *catalog.Catalog, s *mesh.Snapshot) (out []line) {
	hosts := hostsByKey(c)
	for i := range s.Hosts {
		h := &s.Hosts[i]
		config := hosts[mesh.Key(h.Name)]
		if config == nil || q.region != "" && h.Region != q.region || q.group != "" && config.Group != q.group ||
			q.label != "" && !hasLabel(config, q.label) {
			continue
		}
		for k := range h.Checks {
			check := &h.Checks[k]
			if q.check == allPings && check.Kind == catalog.KindPing || check.Name == q.check {
				out = append(out, line{h, check, config})
				break
			}
		}
	}
	position := matrix.Positions(c)
	slices.SortStableFunc(out, func(a, b line) int {
		return position(a.host.Region, a.host.Name) - position(b.host.Region, b.host.Name)
	})
	return out
}

// hostsByKey indexes the catalog: finding each host of a large mesh by itself takes seconds.
func hostsByKey(c *catalog.Catalog) map[string]*catalog.Host {
	out := make(map[string]*catalog.Host, len(c.Hosts))
	for i := range c.Hosts {
		out[c.Hosts[i].Key()] = &c.Hosts[i]
	}
	return out
}

func hasLabel(h *catalog.Host, label string) bool {
	key, value, _ := strings.Cut(label, "=")
	have, ok := h.Labels[key]
	return ok && have == value
}

// matrixView is the data of the template matrix.
type matrixView struct {
	Question  choices
	Columns   []column
	Rows      []row
	ByRegion  bool // rows are regions of hosts
	ByVantage bool // columns are vantages
	Hosts     int  // that the question selects
	Pages     []web.Link
	Legend    []cell
	ShowsLoss bool
}

// column is a vantage, or a region of vantages.
type column struct {
	Name, Code, Title, URL string
	Silent                 bool
	region                 string
	vantage                string // its key; "": a whole region
}

// row is a host, or all hosts of a region.
type row struct {
	web.Look
	Name, Title, City, URL string
	Cells                  []cell
}

// matrixPage is the page of who reaches what.
func matrixPage(s *console, r request) (view, error) {
	q, err := newQuestion(r.URL.Query())
	if err != nil {
		return view{}, err
	}
	q = q.orDefault(r.catalog)
	m := newMatrix(s, r, q)
	moment, err := s.newMomentView(r, "", "")
	return view{
		title: "Matrix", template: "matrix", section: "/matrix", data: m.view, tables: []table{m.table(r)},
		moment: moment,
	}, err
}

// builtMatrix is a matrix with what it was made of.
type builtMatrix struct {
	question question
	view     matrixView
	lines    []line
	loss     losses
}

// newMatrix makes the matrix that a question selects.
func newMatrix(s *console, r request, q question) builtMatrix {
	m := builtMatrix{question: q, lines: q.lines(r.catalog, r.snapshot)}
	m.view = matrixView{
		Question: newChoices(r.catalog, q), Columns: columns(r, q), Hosts: len(m.lines), ShowsLoss: q.show == showLoss,
		ByRegion: len(m.lines) > linesMax && q.region == "",
	}
	m.view.ByVantage = slices.ContainsFunc(m.view.Columns, func(c column) bool { return c.vantage != "" })
	shown := m.lines
	if !m.view.ByRegion {
		shown, m.view.Pages = q.linesOfPage(m.lines)
	}
	counted := lossesOf(s, r, shown, m.view.Columns)
	m.loss = counted.shares
	cells := cellMaker{
		question: q, loss: counted.shares, pings: counted.pings, columns: m.view.Columns, catalog: r.catalog,
	}
	m.view.Legend = cells.legend()
	if m.view.ByRegion {
		m.view.Rows = cells.regionRows(shown)
		return m
	}
	cells.cut = cutDirections(brokenPaths(r.catalog, r.snapshot))
	for _, l := range shown {
		m.view.Rows = append(m.view.Rows, cells.hostRow(l))
	}
	return m
}

// linesOfPage returns the lines of the page that the question names, and links to all pages if there are several.
func (q question) linesOfPage(lines []line) (shown []line, pages []web.Link) {
	if len(lines) <= pageMax {
		return lines, nil
	}
	for n := 1; (n-1)*pageMax < len(lines); n++ {
		number := strconv.Itoa(n)
		pages = append(pages, web.Link{Name: number, URL: q.address("page", number), Current: n == q.page})
	}
	first := min((q.page-1)*pageMax, len(lines))
	return lines[first:min(first+pageMax, len(lines))], pages
}

// columns returns the vantages, or their regions where there are many.
func columns(r request, q question) (out []column) {
	var vantages []mesh.VantageState
	for _, v := range r.snapshot.Vantages {
		if q.from == "" || v.Region == q.from {
			vantages = append(vantages, v)
		}
	}
	position := matrix.Positions(r.catalog)
	if len(vantages) <= linesMax || q.from != "" && len(vantages) <= pageMax {
		slices.SortStableFunc(vantages, func(a, b mesh.VantageState) int {
			return position(a.Region, a.Name) - position(b.Region, b.Name)
		})
		for _, v := range vantages {
			title := fmt.Sprintf("%s, %s", v.Name, sentence.City(r.catalog, v.Region))
			if !connected(v) {
				title += ": " + web.AgentLook(v).Word
			}
			out = append(out, column{
				Name: v.Name, Code: cityCode(sentence.City(r.catalog, v.Region)), Title: title, URL: regionPath(v.Region),
				Silent: !connected(v), region: v.Region, vantage: mesh.Key(v.Name),
			})
		}
		return out
	}
	count := map[string]int{}
	for _, v := range vantages {
		count[v.Region]++
	}
	for _, region := range r.catalog.Regions {
		if n := count[region.Name]; n > 0 {
			out = append(out, column{
				Name: cityCode(region.City), Title: fmt.Sprintf("%s: %s", region.City, mesh.Count(n, "vantage")),
				URL: q.address("from", region.Name), region: region.Name,
			})
		}
	}
	return out
}

func regionOrder(c *catalog.Catalog) map[string]int {
	out := map[string]int{}
	for i, r := range c.Regions {
		out[r.Name] = i
	}
	return out
}

// cityCode is a short name: the first three letters of one word, or letters of several: "New York" is NYO.
func cityCode(city string) string {
	words := strings.FieldsFunc(city, func(r rune) bool { return r == ' ' || r == '-' })
	code := ""
	for i, w := range words {
		letters := []rune(strings.ToUpper(w))
		n := 1
		if i == len(words)-1 {
			n = 3 - len([]rune(code))
		}
		code += string(letters[:min(max(n, 0), len(letters))])
	}
	return code
}
