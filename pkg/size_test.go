package pkg_test

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// A reader follows a function that fits a screen or two, and a type whose methods fit one page of documentation. What
// is larger says in its comment why it is, in a sentence that begins with these words, and there are few of them.
const (
	reason        = "Large because"
	functionLines = 50
	typeMethods   = 25
	fileLines     = 400
	lineColumns   = 120
	exceptions    = 3
)

// tracked lists the repository's files with one of the extensions, as paths below the repository's root. Outside a git
// checkout, in a source archive for example, it lists what lies there.
func tracked(t *testing.T, extensions ...string) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", "..", "ls-files", "-z").Output()
	names := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	if err != nil {
		names = nil
		err := filepath.WalkDir("..", func(name string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				names = append(names, strings.TrimPrefix(filepath.ToSlash(name), "../"))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		// Minified files are as others publish them.
		foreign := strings.Contains(name, "testdata/") || strings.Contains(name, ".min.")
		return foreign || !slices.Contains(extensions, filepath.Ext(name))
	})
}

func TestLargeFunctionsAndTypesSayWhy(t *testing.T) {
	var large []string // those with a reason
	methods := map[string]int{}
	reasons := map[string]bool{}
	for _, name := range tracked(t, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, "../"+name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil {
					methods[filepath.Dir(name)+"."+receiver(d)]++
				}
				lines := set.Position(d.End()).Line - set.Position(d.Pos()).Line + 1
				switch why := strings.Contains(d.Doc.Text(), reason); {
				case lines <= functionLines:
				case why:
					large = append(large, name+": "+d.Name.Name)
				default:
					t.Errorf("%s: %s has %d lines: divide it, or begin a sentence of its comment with %q",
						name, d.Name.Name, lines, reason)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok {
						text := d.Doc.Text() + s.Doc.Text()
						reasons[filepath.Dir(name)+"."+s.Name.Name] = strings.Contains(text, reason)
					}
				}
			}
		}
	}
	for name, n := range methods {
		switch {
		case n <= typeMethods:
		case reasons[name]:
			large = append(large, name)
		default:
			t.Errorf("%s has %d methods: divide it, or begin a sentence of its comment with %q", name, n, reason)
		}
	}
	if len(large) > exceptions {
		t.Errorf("%d functions and types are large, %d may be: %s", len(large), exceptions, strings.Join(large, ", "))
	}
}

func TestFilesAndLinesFitTheScreen(t *testing.T) {
	for _, name := range tracked(t, ".go", ".html", ".css", ".js", ".sh") {
		text, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			n++
			line := lines.Text()
			if columns := utf8.RuneCountInString(line); columns > lineColumns {
				t.Errorf("%s:%d: %d columns, %d fit", name, n, columns, lineColumns)
			}
		}
		if n > fileLines && !strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s: %d lines, %d at most", name, n, fileLines)
		}
	}
}
