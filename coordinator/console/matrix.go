package console

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/matrix"
	"github.com/probemesh/probemesh/pkg/mesh"
)

type matrixView struct {
	Vantages []string
	Rows     []matrixRow
}

type matrixRow struct {
	web.Look
	Host, Check, Verdict string
	Cells                []matrixCell
}

type matrixCell struct {
	web.Look
	Text, Title string
}

// matrix is the page of who reaches what.
func (s *console) matrix(r request) (view, error) {
	moment, err := s.newMomentView(r, "")
	return view{
		title: "Matrix", template: "matrix", section: "/matrix", data: newMatrixView(r.snapshot), moment: moment,
	}, err
}

func newMatrixView(s *mesh.Snapshot) matrixView {
	m := matrix.ByVantage(s.Hosts, s.Vantages)
	v := matrixView{Vantages: m.Columns}
	for _, row := range m.Rows {
		view := matrixRow{
			Look: web.VerdictLook(row.Check.Verdict), Host: row.Host.Name, Check: row.Check.Name,
			Verdict: string(row.Check.Verdict),
		}
		for _, edges := range row.Cells {
			view.Cells = append(view.Cells, newMatrixCell(edges))
		}
		v.Rows = append(v.Rows, view)
	}
	return v
}

// cellMax is how many letters of a reason a cell shows. The whole reason is in its title.
const cellMax = 28

// newMatrixCell shows the latest result of a vantage: of its address families the worst.
func newMatrixCell(edges []mesh.EdgeState) matrixCell {
	if len(edges) == 0 {
		look := web.VoteLook(mesh.Abstain)
		look.Shape = "·"
		return matrixCell{look, "", "does not run this check"}
	}
	// Outcomes are ordered from the least to the most alarming: inconclusive, reachable, slow, unreachable.
	e := slices.MaxFunc(edges, func(a, b mesh.EdgeState) int { return int(a.Outcome) - int(b.Outcome) })
	cell := matrixCell{
		Look: web.VoteLook(e.Vote), Text: e.RTT.Round(100 * time.Microsecond).String(),
		Title: "checked at " + e.At.UTC().Format(time.RFC3339),
	}
	switch {
	case e.Vote == mesh.OK:
	case e.Why != "":
		cell.Text = e.Why
	default:
		cell.Text = e.Reason
	}
	if e.Address != "" {
		cell.Title += "; " + e.Address
	}
	// Cut by letters, not bytes: an agent may report any text, and most letters of the world take several bytes.
	if letters := []rune(cell.Text); len(letters) > cellMax {
		cell.Title, cell.Text = cell.Text+"; "+cell.Title, string(letters[:cellMax-2])+"…"
	}
	return cell
}
