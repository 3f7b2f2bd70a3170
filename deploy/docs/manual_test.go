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
				elsewhere := func(string) error { return nil } // the values of secrets are the reader's
				c, err := catalogfile.ParseWith(b.file, []byte(completeCatalog(text)), os.LookupEnv, elsewhere)
				if err != nil {
					t.Errorf("%s:%d: %v", b.file, b.line, err)
				} else if warnings := c.Warnings(); len(warnings) > 0 && wholeCatalog(text) {
					t.Errorf("%s:%d: who copies it gets %q", b.file, b.line, warnings)
				}
			case "json":
				if !json.Valid([]byte(text)) {
					t.Errorf("%s:%d is not JSON", b.file, b.line)
				}
			case "go":
				quotes(t, b, "../lab/*_test.go")
			case "scenario":
				quotes(t, b, "../../pkg/judge/testdata/*.txt")
			case "", "sh", "nginx": // TestNginxAsTheManualConfiguresIt runs the latter
			case "caddy":
				if !strings.Contains(text, "reverse_proxy 127.0.0.1:8080") {
					t.Errorf("%s:%d names another upstream than nginx's block", b.file, b.line)
				}
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

// wholeCatalog reports whether the block is a catalog to copy, not an excerpt.
func wholeCatalog(text string) bool {
	return strings.Contains(text, "regions:") && strings.Contains(text, "hosts:")
}

// completeCatalog adds to an excerpt what a catalog cannot do without.
func completeCatalog(excerpt string) string {
	const region = "regions: [{name: amsterdam}, {name: lusaka}]\n"
	switch {
	case strings.Contains(excerpt, "hosts:"):
		return excerpt
	case strings.HasPrefix(excerpt, "checks:"):
		host := "hosts:\n  - name: NC036\n    region: amsterdam\n    address: mail.example.net\n"
		return region + host + "    " + strings.ReplaceAll(strings.TrimSpace(excerpt), "\n", "\n    ") + "\n"
	}
	return region + "hosts: [{name: NC036, region: amsterdam, address: 192.0.2.36}]\n" + excerpt
}
