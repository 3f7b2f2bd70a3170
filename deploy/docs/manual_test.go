package docs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
)

// page is one file of the manual.
type page struct {
	file    string // relative to this directory
	prose   []string
	anchors []string // of its headings, as GitHub derives them
	blocks  []block
}

// block is one fenced block of a page.
type block struct {
	file     string
	line     int // of its fence
	language string
	lines    []string
}

// readManual reads README.md and every page of this directory.
func readManual(t testing.TB) []page {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil || len(files) < 9 {
		t.Fatalf("the manual has the pages %v: %v", files, err)
	}
	var pages []page
	for _, file := range append(files, "../../README.md") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, parsePage(file, string(data)))
	}
	return pages
}

// parsePage splits a page into prose and fenced blocks.
func parsePage(file, text string) page {
	p := page{file: file}
	var open *block
	for i, line := range strings.Split(text, "\n") {
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{file: file, line: i + 1, language: language}
		case fence:
			p.blocks = append(p.blocks, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		default:
			p.prose = append(p.prose, line)
			if heading := strings.TrimLeft(line, "#"); heading != line {
				p.anchors = append(p.anchors, anchor(heading))
			}
		}
	}
	return p
}

// anchor derives the anchor of a heading as GitHub does: lower case, hyphens for spaces, no other punctuation.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinksResolve follows every link of the manual to a file of the tree and, where the link names one, to a heading
// in it.
func TestLinksResolve(t *testing.T) {
	pages := readManual(t)
	anchors := map[string][]string{}
	for _, p := range pages {
		anchors[absolute(t, p.file)] = p.anchors
	}
	for _, p := range pages {
		for _, match := range link.FindAllStringSubmatch(strings.Join(p.prose, "\n"), -1) {
			to := match[1]
			if strings.HasPrefix(to, "https://") {
				continue
			}
			path, fragment, hasFragment := strings.Cut(to, "#")
			target := absolute(t, p.file)
			if path != "" {
				target = filepath.Join(filepath.Dir(target), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s leads nowhere: %v", p.file, to, err)
			} else if hasFragment && !slices.Contains(anchors[target], fragment) {
				t.Errorf("%s: the link %s names no heading of %s, only %q", p.file, to, target, anchors[target])
			}
		}
	}
}

var treePath = regexp.MustCompile("`((?:agent|coordinator|deploy|pkg|\\.ci)/[a-zA-Z0-9_./-]+)`")

// TestPathsExist finds every path that the manual names in the tree.
func TestPathsExist(t *testing.T) {
	n := 0
	for _, p := range readManual(t) {
		for _, match := range treePath.FindAllStringSubmatch(strings.Join(p.prose, "\n"), -1) {
			n++
			if _, err := os.Stat(filepath.Join("../..", match[1])); err != nil {
				t.Errorf("%s names %s: %v", p.file, match[1], err)
			}
		}
	}
	if n < 20 {
		t.Errorf("the manual names only %d paths", n)
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestExamplesAreValid reads every YAML block as the coordinator reads a catalog and every JSON block as JSON, and
// finds the blocks of Go and of scenarios in the tree.
func TestExamplesAreValid(t *testing.T) {
	n := 0
	for _, p := range readManual(t) {
		for _, b := range p.blocks {
			text := strings.Join(b.lines, "\n") + "\n"
			switch b.language {
			case "yaml":
				n++
				if _, err := catalogfile.Parse(b.file, []byte(completeCatalog(text)), os.LookupEnv); err != nil {
					t.Errorf("%s:%d: %v", b.file, b.line, err)
				}
			case "json":
				if !json.Valid([]byte(text)) {
					t.Errorf("%s:%d is not JSON", b.file, b.line)
				}
			case "go":
				quotes(t, b, "../lab/*_test.go")
			case "scenario":
				quotes(t, b, "../../pkg/judge/testdata/*.txt")
			case "", "sh":
			default:
				t.Errorf("%s:%d: no test reads a block of %q", b.file, b.line, b.language)
			}
		}
	}
	if n < 5 {
		t.Errorf("the manual has %d examples of YAML", n)
	}
}

// quotes checks that a block stands in one of the files as it is, but for its indentation.
func quotes(t *testing.T, b block, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatal(pattern, files, err)
	}
	quote := unindented(strings.Join(b.lines, "\n"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(unindented(string(data)), quote) {
			return
		}
	}
	t.Errorf("%s:%d: none of %s has these lines", b.file, b.line, pattern)
}

// unindented returns the text without the spaces at the beginnings of its lines.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], " \t")
	}
	return strings.Join(lines, "\n")
}

// completeCatalog adds to an excerpt what a catalog cannot do without.
func completeCatalog(excerpt string) string {
	const region = "regions: [{name: amsterdam}]\n"
	switch {
	case strings.Contains(excerpt, "hosts:"):
		return excerpt
	case strings.HasPrefix(excerpt, "checks:"):
		host := "hosts:\n  - name: NC036\n    region: amsterdam\n    address: mail.example.net\n"
		return region + host + "    " + strings.ReplaceAll(strings.TrimSpace(excerpt), "\n", "\n    ") + "\n"
	}
	return region + "hosts: [{name: NC036, region: amsterdam, address: 192.0.2.36}]\n" + excerpt
}

// TestEveryKeyIsDocumented asks the parser which keys each part of a catalog has, by a key that it does not know, and
// finds a row for each in configure.md.
func TestEveryKeyIsDocumented(t *testing.T) {
	configure, err := os.ReadFile("configure.md")
	if err != nil {
		t.Fatal(err)
	}
	const source = `zzzzzzzz: 1
page: {zzzzzzzz: 1}
defaults: {zzzzzzzz: 1}
regions: [{name: amsterdam, zzzzzzzz: 1}]
hosts:
  - name: NC036
    region: amsterdam
    address: 192.0.2.36
    zzzzzzzz: 1
    checks:
      - {kind: ping, zzzzzzzz: 1}
      - {kind: tcp, port: 1, zzzzzzzz: 1}
      - {kind: http, url: "https://example.net/", zzzzzzzz: 1}
rule: {zzzzzzzz: 1}
`
	_, err = catalogfile.Parse("keys.yaml", []byte(source), os.LookupEnv)
	mistakes, _ := err.(catalogfile.Mistakes)
	keys := map[string]bool{}
	for _, m := range mistakes {
		list, found := strings.CutPrefix(m.Mend, "the keys here are ")
		if !found {
			t.Errorf("a key that is unknown is reported as %v", m)
		}
		for key := range strings.SplitSeq(list, ", ") {
			keys[key] = true
		}
	}
	if len(mistakes) != 9 || len(keys) < 60 {
		t.Fatalf("the parser lists %d keys in %d places", len(keys), len(mistakes))
	}
	for key := range keys {
		row, heading := "| `"+key+"` |", "## "+key+"\n"
		if !strings.Contains(string(configure), row) && !strings.Contains(string(configure), heading) {
			t.Errorf("configure.md has no row %s", row)
		}
	}
}

// TestEveryKindIsDocumented finds a section for every kind of check in checks.md.
func TestEveryKindIsDocumented(t *testing.T) {
	checks, err := os.ReadFile("checks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{catalog.KindPing, catalog.KindTCP, catalog.KindHTTP} {
		if !strings.Contains(string(checks), "\n## "+kind+"\n") {
			t.Errorf("checks.md has no section on %s", kind)
		}
	}
}

// TestRoutesAndMetricsAreDocumented finds every address in api.md and every metric in operate.md.
func TestRoutesAndMetricsAreDocumented(t *testing.T) {
	route := regexp.MustCompile(`Pattern: +"GET (/[^"]+)"`)
	metric := regexp.MustCompile(`describe\("([a-z_]+)"`)
	checkDocumented(t, "api.md", route, 15, "../../coordinator/site/*.go", "../../coordinator/api/*.go")
	checkDocumented(t, "operate.md", metric, 20, "../../coordinator/console/*.go")
}

// checkDocumented finds all names that the expression matches in Go files in a page of the manual. Of an address it
// looks for the part before the first wildcard.
func checkDocumented(t *testing.T, page string, expression *regexp.Regexp, least int, patterns ...string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range expression.FindAllStringSubmatch(string(source), -1) {
				n++
				name, _, _ := strings.Cut(match[1], "{")
				if !strings.Contains(string(text), "`"+name) {
					t.Errorf("%s does not document %s", page, match[1])
				}
			}
		}
	}
	if n < least {
		t.Errorf("%v match only %d names, want %d: adapt this test", patterns, n, least)
	}
}

// TestREADMEQuotesTheSimulation finds the figures of the README's table in the whole one, which the simulation writes.
func TestREADMEQuotesTheSimulation(t *testing.T) {
	whole := map[string][]string{} // by network and rule
	network := ""
	for _, cells := range table(t, "simulation.md", "| network | rule |") {
		if cells[0] != "" {
			network = cells[0]
		}
		whole[network+"/"+cells[1]] = cells
	}
	rows := table(t, "../../README.md", "| network | rule |")
	if len(rows) != 4 {
		t.Errorf("the README quotes %d rows", len(rows))
	}
	for _, row := range rows {
		cells := whole[row[0]+"/"+row[1]]
		if len(cells) < 6 || !slices.Equal(row[2:], []string{cells[2], cells[4], cells[5]}) {
			t.Errorf("the README quotes %q, and the simulation has %q", row, cells)
		}
	}
}

// table returns the cells of the rows below the header in a Markdown file.
func table(t *testing.T, file, header string) (rows [][]string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(data), "\n"+header)
	if !found {
		t.Fatalf("%s has no table %q", file, header)
	}
	for _, line := range strings.Split(rest, "\n")[2:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// TestREADMEIsShort keeps the front page a front page.
func TestREADMEIsShort(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), "\n"); n > 160 {
		t.Errorf("README.md has %d lines, more than 160: move some to deploy/docs", n)
	}
}
