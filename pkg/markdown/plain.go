package markdown

import (
	"bufio"
	"bytes"
	"html"
	"strings"

	"github.com/yuin/goldmark/ast"
	goldmarkhtml "github.com/yuin/goldmark/renderer/html"
)

// block is a paragraph, a heading, an item of a list, a cell of a table or a piece of code.
type block struct {
	words   string // more than space
	heading bool
}

// blocksOf returns what the blocks of a text say, in their order.
func blocksOf(source []byte) (out []block) {
	var words strings.Builder
	end := func(n ast.Node) {
		if text := strings.TrimRight(strings.TrimLeft(words.String(), "\n"), " \n"); strings.TrimSpace(text) != "" {
			out = append(out, block{words: text, heading: n.Kind() == ast.KindHeading})
		}
		words.Reset()
	}
	_ = ast.Walk(parse(source), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch {
		case n.Type() == ast.TypeBlock && !entering:
			end(n)
		case entering:
			writePlain(&words, n, source)
		}
		return ast.WalkContinue, nil
	})
	return out
}

// writePlain writes what a node itself says.
func writePlain(out *strings.Builder, n ast.Node, source []byte) {
	switch n := n.(type) {
	case *ast.Text:
		out.WriteString(characters(n, source))
		if n.SoftLineBreak() || n.HardLineBreak() {
			out.WriteByte('\n')
		}
	case *ast.String:
		out.Write(n.Value)
	case *ast.AutoLink:
		out.Write(n.Label(source))
	case *ast.RawHTML:
		out.Write(n.Segments.Value(source))
	case *ast.HTMLBlock:
		out.Write(n.Lines().Value(source))
		if n.HasClosure() {
			out.Write(n.ClosureLine.Value(source))
		}
	case *ast.CodeBlock, *ast.FencedCodeBlock:
		out.Write(n.Lines().Value(source))
	}
}

// characters returns a text's characters as HTML shows them: "\*" and "&amp;" are one each, unless they are code.
func characters(n *ast.Text, source []byte) string {
	value := n.Segment.Value(source)
	if n.IsRaw() || !bytes.ContainsAny(value, `\&`) {
		return string(value)
	}
	var rendered bytes.Buffer
	w := bufio.NewWriter(&rendered)
	goldmarkhtml.DefaultWriter.Write(w, value)
	_ = w.Flush()                                          // a buffer does not fail
	return bounded(html.UnescapeString(rendered.String())) // "&#2;" is a character that no text has
}
