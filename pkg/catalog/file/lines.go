package file

import (
	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Lines are the lines of hosts and checks in a file.
type Lines map[place]int

type place struct{ host, check string } // keys

// Of returns the line of a check, or of a host if check is empty; zero if the file has none, or the check has no line
// of its own.
func (l Lines) Of(host, check string) int { return l[place{mesh.Key(host), mesh.Key(check)}] }

// set records where a host or check has its name.
func (l Lines) set(n ast.Node, host, check string) {
	if n != nil {
		l[place{mesh.Key(host), mesh.Key(check)}] = n.GetToken().Position.Line
	}
}
