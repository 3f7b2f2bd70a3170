package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
)

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
incidents: {zzzzzzzz: 1}
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
	if len(mistakes) != 10 || len(keys) < 60 {
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
	for _, kind := range catalog.Kinds() {
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

// TestEveryPackageHasARow finds every package, except those for tests alone, in the tables of contributing.md.
func TestEveryPackageHasARow(t *testing.T) {
	text, err := os.ReadFile("contributing.md")
	if err != nil {
		t.Fatal(err)
	}
	forTests := regexp.MustCompile(`/[a-z]*test$`) // as httptest is of http
	seen := map[string]bool{}
	for _, root := range []string{"agent", "coordinator", "pkg", "deploy"} {
		err := filepath.WalkDir(filepath.Join("../..", root), func(path string, d fs.DirEntry, err error) error {
			isSource := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go")
			if err == nil && isSource && !strings.Contains(path, "testdata") {
				seen[strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../../")] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for dir := range seen {
		if !forTests.MatchString(dir) && !strings.Contains(string(text), "`"+dir+"`") {
			t.Errorf("contributing.md has no row for %s", dir)
		}
	}
}
