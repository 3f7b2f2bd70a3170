package probe_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// TestEveryReasonHasAPublicPhrase reads this package's sources: mesh.ClassifyReason must recognize the prefix of each
// failure's reason, or the status page would state only that something is wrong. A new reason needs its prefix there.
func TestEveryReasonHasAPublicPhrase(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	check := func(e ast.Expr) {
		text, ok := beginning(e)
		if !ok || text == "" {
			return
		}
		found++
		if text == "status " {
			text += "503"
		}
		if f := mesh.ClassifyReason(text); f.Kind == mesh.OtherFailure {
			t.Errorf("a reason begins with %q, which mesh.ClassifyReason does not know", text)
		}
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr: // result.fail("connection refused")
				if method, ok := n.Fun.(*ast.SelectorExpr); ok && method.Sel.Name == "fail" {
					check(n.Args[0])
				}
			case *ast.KeyValueExpr: // Result{Outcome: mesh.Unreachable, Reason: "timeout"}
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Reason" {
					check(n.Value)
				}
			case *ast.FuncDecl: // func bannerReason(...) string
				if strings.HasSuffix(n.Name.Name, "Reason") {
					ast.Inspect(n, func(n ast.Node) bool {
						if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) > 0 {
							check(r.Results[0])
						}
						return true
					})
				}
			case *ast.ValueSpec: // var unreachableCodes4 = map[int]string{...}
				if strings.HasPrefix(n.Names[0].Name, "unreachableCodes") {
					for i := range n.Values {
						for _, pair := range n.Values[i].(*ast.CompositeLit).Elts {
							check(pair.(*ast.KeyValueExpr).Value)
						}
					}
				}
			}
			return true
		})
	}
	if found < 35 {
		t.Errorf("only %d reasons found: this test no longer recognizes how the sources write them", found)
	}
}

// beginning is the fixed text that an expression begins with.
func beginning(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		text, _, _ = strings.Cut(text, "%")
		return text, err == nil
	case *ast.BinaryExpr:
		return beginning(e.X)
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" {
			return beginning(e.Args[0])
		}
	}
	return "", false
}
