package console

import (
	"fmt"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Lost is the share of pings that are lost in this direction; empty if it may be a coincidence.
func (row directionRow) Lost() string {
	if _, lost := row.pings.total(); lost < 2 || row.pings.share() < lossNoted {
		return ""
	}
	return percent(row.pings.share())
}

// addLosses adds the lost pings to a view. A direction that loses many of them is not drawn as well, and the conclusion
// says it of the region as the overview does: one in three may be lost while all that is retried is reached.
func (v *regionView) addLosses(r request, region string, counted lossCounts) {
	edges := pingEdges(r.catalog.Rule, r.snapshot, counted.latest)
	rows := map[direction]*directionRow{}
	for i := range v.Out {
		rows[direction{region, v.Out[i].Region}] = &v.Out[i]
		rows[direction{v.In[i].Region, region}] = &v.In[i]
	}
	for _, e := range edges {
		if row := rows[e.direction]; row != nil {
			row.pings.add(e.pingCounts)
		}
	}
	up := web.VerdictLook(mesh.Up).Class
	for _, row := range rows {
		if row.Class == up && row.Lost() != "" && row.pings.share() >= meshLossy {
			look := web.VerdictLook(mesh.Degraded)
			look.Word = row.Word
			row.Look = look
		}
	}
	place := newLossyPlace(region, edges, func(e pingEdge) bool { return e.touches(region) })
	if !place.lasting() || place.share < meshLossy {
		return
	}
	if v.Class == up {
		v.Look = web.VerdictLook(mesh.Degraded)
	}
	v.Conclusion += fmt.Sprintf(" But it loses pings: %.0f %% of those from and to it on a typical path in %s.",
		100*place.share, lossPeriod(r.catalog, true))
}
