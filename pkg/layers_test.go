// Package pkg_test enforces the architecture: which package may import which, what pure packages may not touch, and
// that every package says what it is.
package pkg_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/probemesh/probemesh/"

// layers lists every package by rank: a package imports only from layers below its own. Packages of one layer are
// strangers to each other; only the pure packages build on one another, in the order of their list.
var layers = []struct {
	name     string
	packages []string
}{
	{"nouns", []string{"pkg/mesh"}},
	{"pure", []string{
		"pkg/errkind", "pkg/persist",
		"pkg/markdown", "pkg/archive", "pkg/blog", "pkg/secret", "pkg/meshtime", "pkg/address", "pkg/sla",
		"pkg/rollup", "pkg/maintenance", "pkg/catalog",
		"pkg/schedule", "pkg/edge", "pkg/quorum",
		"pkg/sentence", "pkg/status", "pkg/incident", "pkg/judge",
		"pkg/wire", "pkg/admission", "pkg/ratelimit", "pkg/quota", "pkg/matrix",
		"pkg/catalog/file", // last: no pure package links a YAML parser
	}},
	{"reading files", []string{"pkg/regularfile"}},
	{"locks on directories", []string{"pkg/dirlock"}},
	{"secret files", []string{"pkg/privatefile"}},
	{"the bus", []string{"pkg/bus"}},
	{"one outside thing each", []string{
		"pkg/probe", "pkg/bus/agent", "pkg/bus/coordinator", "pkg/gossip", "pkg/spool", "pkg/ledger", "pkg/command",
		"pkg/sqlitefile", "deploy/examples",
	}},
	{"built on one of those", []string{"pkg/bus/server", "pkg/ledger/view", "pkg/latency"}},
	{"delivery", []string{"agent/outbox"}},
	{"the coordinator's own health", []string{"coordinator/health"}},
	{"what every HTTP surface shares", []string{"coordinator/web"}},
	{"copies of the site", []string{"coordinator/mirror"}},
	{"channels", []string{"coordinator/notify/channel"}},
	{"what people write, their rights, and notifications", []string{
		"coordinator/editorial", "coordinator/operators", "coordinator/notify",
	}},
	{"joiners", []string{
		"agent/identity", "agent/vantage", "agent/localstatus", "agent/doctor", "coordinator/enroller",
		"coordinator/catalogs", "coordinator/engine", "coordinator/site", "coordinator/feeds",
		"coordinator/api", "coordinator/console", "coordinator/admin",
		"coordinator/allowlist", "coordinator/backup", "coordinator/quotaguard", "coordinator/diskguard",
		"coordinator/heartbeat", "coordinator/connlimit", "coordinator/integrity",
		"coordinator/export", "coordinator/replica",
	}},
	{"servers of HTTP", []string{"coordinator/httpserver"}},
	{"wiring", []string{"agent/node", "coordinator/node"}},
	{"the demo", []string{"coordinator/demo"}},
	{"for tests alone", []string{
		"pkg/testenv", "pkg/blog/blogtest", "pkg/command/commandtest", "pkg/bus/server/servertest", "coordinator/web/webtest",
	}},
	{"programs", []string{
		"agent", "coordinator", "deploy/docs", "deploy/docs/screenshot", "deploy/lab", "deploy/packages",
		"deploy/penetration", "deploy/prometheus", "deploy/simulation", "deploy/year",
	}},
}

// forbidden are imports that only the named packages may have.
var forbidden = []struct {
	prefix, why string
	only        []string
}{
	{"github.com/nats-io/", "NATS stays behind the bus", []string{
		"pkg/bus", "pkg/bus/agent", "pkg/bus/coordinator", "pkg/bus/server", "pkg/bus/server/servertest",
	}},
	{"github.com/synadia-io/", "NATS stays behind the bus", []string{"pkg/bus/coordinator"}},
	{"github.com/hashicorp/", "membership stays behind gossip", []string{"pkg/gossip"}},
	{"github.com/prometheus-community/", "the ping library stays behind the probe", []string{"pkg/probe"}},
	{"modernc.org/sqlite", "SQLite stays behind the views", []string{"pkg/sqlitefile"}},
	{"github.com/goccy/go-yaml", "YAML stays behind the catalog's file", []string{"pkg/catalog/file"}},
	{"github.com/yuin/goldmark", "one renderer for pages, feeds and mail", []string{"pkg/markdown"}},
	{"github.com/wneessen/", "mail stays behind the channels", []string{"coordinator/notify/channel"}},
	{"github.com/nicholas-fedor/", "shoutrrr stays behind the channels", []string{"coordinator/notify/channel"}},
	{"github.com/DataDog/", "sketches stay behind the rollups", []string{"pkg/rollup"}},
	{"github.com/teambition/rrule-go", "recurrence stays behind the maintenance", []string{"pkg/maintenance"}},
	{"github.com/arran4/golang-ical", "the calendar is a page of the site", []string{"coordinator/site"}},
	{"github.com/spf13/cobra", "flags belong to the programs", []string{
		"agent", "coordinator", "pkg/command", "pkg/command/commandtest",
	}},
}

// impure are the imports and calls that a pure package may not have: time comes in as an argument.
var impure = []string{
	"net/http", "os", "os/exec", "io/fs", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand", "sync",
	"github.com/rs/zerolog",
}

var impureCalls = []string{
	"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.NewTimer", "time.NewTicker",
	"time.AfterFunc",
	"net.Dial", "net.Listen", "net.LookupHost",
}

type source struct {
	dir  string
	file *ast.File
}

// sources parses every Go file of the project that is not a test.
func sources(t *testing.T) []source {
	t.Helper()
	return parsed(t, func(name string) bool { return !strings.HasSuffix(name, "_test.go") })
}

// parsed parses the Go files of the project whose names are wanted.
func parsed(t *testing.T, wanted func(name string) bool) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base != ".." &&
				(strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || !wanted(name) {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel("..", filepath.Dir(name))
		out = append(out, source{filepath.ToSlash(dir), f})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func imports(f *ast.File) []string {
	var out []string
	for _, spec := range f.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// place is a package's layer and its position in it; layer is -1 for a package that no layer lists.
func place(dir string) (layer, position int) {
	for i, l := range layers {
		if at := slices.Index(l.packages, dir); at >= 0 {
			return i, at
		}
	}
	return -1, 0
}

func TestImportsRunDownward(t *testing.T) {
	for _, s := range sources(t) {
		from, at := place(s.dir)
		if from < 0 {
			t.Errorf("%s stands in no layer: give it a place in layers_test.go", s.dir)
			continue
		}
		for _, imported := range imports(s.file) {
			dir, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			to, below := place(dir)
			if to >= 0 && layers[to].name == "for tests alone" {
				t.Errorf("%s imports %s, which is for tests alone", s.dir, dir)
			}
			down := to < from || to == from && layers[from].name == "pure" && below < at
			if !down {
				t.Errorf("%s imports %s: imports run strictly downward", s.dir, dir)
			}
		}
	}
}

func TestLibrariesStayBehindTheirPackage(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range imports(s.file) {
			for _, f := range forbidden {
				if strings.HasPrefix(imported, f.prefix) && !slices.Contains(f.only, s.dir) {
					t.Errorf("%s imports %s: %s", s.dir, imported, f.why)
				}
			}
		}
	}
}

func TestPurePackagesTouchNothing(t *testing.T) {
	for _, s := range sources(t) {
		layer, _ := place(s.dir)
		if layer < 0 || layers[layer].name != "pure" && layers[layer].name != "nouns" {
			continue
		}
		for _, imported := range imports(s.file) {
			if slices.Contains(impure, imported) {
				t.Errorf("%s is pure and imports %s", s.dir, imported)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s is pure and starts a goroutine", s.dir)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && slices.Contains(impureCalls, x.Name+"."+n.Sel.Name) {
					t.Errorf("%s is pure and calls %s.%s", s.dir, x.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

// In CI a missing thing is a failure, which only needs knows of.
func TestNothingIsSkippedButByNeeds(t *testing.T) {
	for _, s := range parsed(t, func(string) bool { return true }) {
		if s.dir == "pkg/testenv" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, f.Sel.Name) {
				t.Errorf("%s skips by itself: let needs do it", s.dir)
			}
			return true
		})
	}
}

func TestNothingStartsInInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function: what starts has an owner", s.dir)
			}
		}
	}
}

func TestEveryPackageAndExportedNameIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		documented[s.dir] = documented[s.dir] || s.file.Doc != nil
		for _, d := range s.file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: %s is exported and says nothing", s.dir, name)
			}
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// undocumented lists the exported names of a declaration that have no comment. A group's comment counts for its
// constants.
func undocumented(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || ast.IsExported(receiver(d))) {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		var out []string
		for _, spec := range d.Specs {
			if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
				out = append(out, s.Name.Name)
			}
		}
		return out
	}
	return nil
}

func receiver(f *ast.FuncDecl) string {
	t := f.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if index, ok := t.(*ast.IndexExpr); ok {
		t = index.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func TestTopLevelIsWhatItShouldBe(t *testing.T) {
	want := []string{"LICENSE", "README.md", "agent", "coordinator", "deploy", "go.mod", "go.sum", "pkg"}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(want, path.Base(e.Name())) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}
