package site_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
)

// pagesWalked bounds how many pages of a state are read: of 300 hosts, one looks as another.
const pagesWalked = 40

// Clients read no second, port or vote outside of "Evidence", and nothing that contradicts what stands beside it, on
// any page that the front page leads to, in any of the ten states.
func TestPagesSpeakClientsWords(t *testing.T) {
	t.Parallel()
	for _, state := range webtest.States(t) {
		t.Run(state.Name, func(t *testing.T) {
			t.Parallel()
			pages := walk(t, public(state.Source), examined(state))
			if len(pages) < 3 {
				t.Fatalf("only %d pages were found", len(pages))
			}
			for path, page := range pages {
				if explains[path] {
					continue
				}
				for _, fault := range append(technicalWords(page), contradictions(page)...) {
					t.Errorf("%s: %s", path, fault)
				}
			}
		})
	}
}

// What the test above looks for is found where it is.
func TestWordsThatPagesMayNotSpeakAreFound(t *testing.T) {
	const row = `<details class="host down" id="row-A" open><summary>A <b class="state">%s</b></summary><ul>` +
		`<li>Mail <span>%s</span></li></ul></details>`
	for text, faults := range map[string]int{
		"<p>Mail stopped at 10:00:03 UTC.": 1, "<p>It did not answer on port 25.": 1, "<p>Seven votes.": 1,
		`<p title="no quorum">Mail`: 1, "<p>Updated 12 s ago.": 1, "<p>Asked every 10 seconds.": 1,
		"<p>Mail was down for 6 min 12 s.": 0, `<summary data-notes="3:1 min 20 s partly down">`: 0,
		"<details><summary>Evidence</summary>Seven votes on port 25 at 10:00:03.</details>":               0,
		"<details><summary>More</summary>Seven votes.</details>":                                          1,
		`<div class="banner"><h1>Mail: Partial outage</h1><p>reachable from 7 of 7 regions now</p></div>`: 1,
		`<div class="banner"><h1>Mail: Partial outage</h1><p>reachable from 3 of 7 regions now</p></div>`: 0,
		"<p>Confirmed from 8 of 7 regions.":                                                               1,
		"<p>2 of 5 systems affected: A and B." + fmt.Sprintf(row, "Operational", "12 ms"):                 1,
		`<h1>All systems operational</h1>` + fmt.Sprintf(row, "Major outage", "Down since 10:00 UTC"):     1,
		fmt.Sprintf(row, "Operational", "Down since 10:00 UTC"):                                           1,
		fmt.Sprintf(row, "Major outage", "12 ms"):                                                         1,
		fmt.Sprintf(row, "Partial outage", "Down since 10:00 UTC"):                                        0,
		`<h1>Mail: Operational</h1><b class="state down">Down</b>`:                                        1,
	} {
		page, err := html.Parse(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if found := append(technicalWords(page), contradictions(page)...); len(found) != faults {
			t.Errorf("%s: %q, want %d faults", text, found, faults)
		}
	}
}

// walk reads pages and those that they link to, of each kind, without feeds and pictures.
func walk(t *testing.T, h http.Handler, from []string) map[string]*html.Node {
	t.Helper()
	pages, seen := map[string]*html.Node{}, map[string]bool{}
	for next := from; len(next) > 0 && len(pages) < pagesWalked; next = next[1:] {
		path, _, _ := strings.Cut(next[0], "#")
		if seen[path] || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "/api/") {
			continue
		}
		seen[path] = true
		w := webtest.Get(t, h, path)
		if w.Code != http.StatusOK && !slices.Contains(from, path) { // feeds, which another handler serves
			continue
		}
		page, err := html.Parse(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		pages[path] = page
		for n := range page.Descendants() {
			if n.Data == "a" {
				next = append(next, attribute(n, "href"))
			}
		}
	}
	return pages
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// isEvidence says whether a node is folded away under the word "Evidence".
func isEvidence(n *html.Node) bool {
	return n.Data == "details" && n.FirstChild != nil && n.FirstChild.Data == "summary" &&
		n.FirstChild.FirstChild != nil && n.FirstChild.FirstChild.Data == "Evidence"
}

// blocks are the elements whose text does not run on in that of their neighbours.
var blocks = map[string]bool{"p": true, "li": true, "div": true, "h1": true, "h2": true, "h3": true, "article": true,
	"section": true, "summary": true, "td": true, "th": true, "tr": true, "option": true,
	"small": true, "dt": true, "dd": true, "title": true}

// read returns what people see or hear of a node, outside of evidence, one block a line.
func read(n *html.Node) string {
	var out strings.Builder
	var visit func(n *html.Node)
	visit = func(n *html.Node) {
		switch {
		case n.Type == html.TextNode:
			out.WriteString(strings.ReplaceAll(n.Data, "\n", " "))
		case isEvidence(n) || n.Data == "script" || n.Data == "style":
			return
		case n.Type == html.ElementNode:
			for _, name := range []string{"title", "aria-label", "alt", "data-notes", "content"} {
				if heard := attribute(n, name); heard != "" {
					out.WriteString("\n" + heard + "\n")
				}
			}
		}
		for child := range n.ChildNodes() {
			visit(child)
		}
		if blocks[n.Data] {
			out.WriteByte('\n')
		}
	}
	visit(n)
	return out.String()
}

var (
	// Measured downtime is exact: "for 6 min 12 s", and "6 min 12 s down" of a day.
	measuredTime = regexp.MustCompile(
		`\b(for|after|lasted|takes) (\d+ (d|h|min) )*\d+ s\b|\b(\d+ (d|h|min) )*\d+ s( partly)? down\b`)
	technical = regexp.MustCompile(`\d\d:\d\d:\d\d|\b\d+ ?s\b|(?i)\b\d+ seconds?\b|\bport \d+|:\d{2,5}/|` +
		`\bvot(e|er|ed|ing)s?\b|\bquorum\b|\btally\b|\babstain(s|ed)?\b`)
	// explains are the pages that explain how a verdict is reached, to which evidence links.
	explains = map[string]bool{"/rule": true}
)

// technicalWords lists words of ours that a page says to clients.
func technicalWords(page *html.Node) (faults []string) {
	for line := range strings.Lines(read(page)) {
		if found := technical.FindString(measuredTime.ReplaceAllString(line, "")); found != "" {
			faults = append(faults, fmt.Sprintf("%q outside of evidence: %s", found, strings.TrimSpace(line)))
		}
	}
	return faults
}

var (
	everywhere = regexp.MustCompile(`from (\d+) of (?:the |all )?(\d+) regions now`)
	counted    = regexp.MustCompile(`(\d+) of (?:the |all )?(\d+) `)
	affected   = regexp.MustCompile(`(\d+) of \d+ systems? affected`)
	outage     = regexp.MustCompile(`(?i)\b(partial|major) outage\b|\bunavailable\b|\bdown\b`)
	fine       = regexp.MustCompile(`(?i)\ball systems operational\b|\bfind no outage\b`)
	statuses   = regexp.MustCompile(`Operational|Degraded performance|(Partial|Major) outage|Under maintenance|Unknown`)
	failing    = regexp.MustCompile(`\b(Down|Partial|Degraded) since\b`)
)

// contradictions lists what stands together on a page and cannot be true together.
func contradictions(page *html.Node) (faults []string) {
	whole, title, rows, troubled := read(page), "", 0, 0
	for n := range page.Descendants() {
		class := " " + attribute(n, "class") + " "
		switch {
		case n.Data == "h1":
			title = strings.TrimSpace(read(n))
		case strings.Contains(class, " banner "):
			faults = append(faults, reachableDespite(n)...)
		case strings.Contains(class, " host ") && n.Data == "details":
			faults = append(faults, append(reachableDespite(n), rowFaults(n)...)...)
			rows++
			if statuses.FindString(read(n)) != "Operational" {
				troubled++
			}
		case strings.Contains(class, " state ") && strings.HasSuffix(title, ": Operational"):
			if outage.MatchString(read(n)) {
				faults = append(faults, fmt.Sprintf("%q stands above %q", title, read(n)))
			}
		}
	}
	for _, m := range counted.FindAllStringSubmatch(whole, -1) {
		some, _ := strconv.Atoi(m[1])
		if all, _ := strconv.Atoi(m[2]); some > all {
			faults = append(faults, fmt.Sprintf("counts %q", m[0]))
		}
	}
	if m := affected.FindStringSubmatch(whole); m != nil && rows > 0 && m[1] != strconv.Itoa(troubled) {
		faults = append(faults, fmt.Sprintf("%q, and %d rows show trouble", m[0], troubled))
	}
	if m := fine.FindString(whole); m != "" && troubled > 0 {
		faults = append(faults, fmt.Sprintf("%q, and %d rows show trouble", m, troubled))
	}
	return faults
}

// reachableDespite finds an outage that an element calls reachable from everywhere.
func reachableDespite(n *html.Node) (faults []string) {
	text := read(n)
	for _, m := range everywhere.FindAllStringSubmatch(text, -1) {
		if m[1] == m[2] && outage.MatchString(text) {
			whole := strings.Join(strings.Fields(text), " ")
			faults = append(faults, fmt.Sprintf("%q beside an outage: %s", m[0], whole))
		}
	}
	return faults
}

// rowFaults finds a row of the front page that calls a host operational while one of its checks fails, or calls it
// down without a check that does.
func rowFaults(row *html.Node) []string {
	var summary, checks string
	for n := range row.ChildNodes() {
		switch n.Data {
		case "summary":
			summary = read(n)
		case "ul":
			checks = read(n)
		}
	}
	status, fails := statuses.FindString(summary), failing.MatchString(checks)
	if status == "Operational" && fails || strings.HasSuffix(status, "outage") && !fails {
		return []string{fmt.Sprintf("%q stands beside %s", status, strings.Join(strings.Fields(checks), " "))}
	}
	return nil
}
