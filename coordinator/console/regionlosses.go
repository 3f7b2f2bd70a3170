package console

import (
	"fmt"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Lost is the share of pings that are lost in this direction; empty if none were counted.
func (row directionRow) Lost() string {
	if sent, _ := row.pings.total(); sent == 0 {
		return ""
	}
	return percent(row.pings.share())
}

// addLosses adds the lost pings to a view. A direction that loses many of them lastingly is no longer called working,
// and the conclusion says it of the region as the overview does: one in three may be lost while all that is retried is
// reached.
func (v *regionView) addLosses(r request, region string, counted lossCounts) {
	v.LossPeriod = lossPeriod(r.catalog, false)
	rows := map[direction]*directionRow{}
	for i := range v.Out {
		rows[direction{region, v.Out[i].Region}] = &v.Out[i]
		rows[direction{v.In[i].Region, region}] = &v.In[i]
	}
	for _, e := range pingEdges(r.catalog.Rule, r.snapshot, counted.pings) {
		if row := rows[e.direction]; row != nil {
			row.pings.add(e.pingCounts)
		}
	}
	up := web.VerdictLook(mesh.Up).Class
	for _, row := range rows {
		if row.Class == up && row.pings.lasting() {
			row.Look = web.VerdictLook(mesh.Degraded)
			row.Word = "working, loses pings"
		}
	}
	place := newLossyPlace(region, pingEdges(r.catalog.Rule, r.snapshot, counted.latest),
		func(e pingEdge) bool { return e.touches(region) })
	if !place.lasting() || place.share < meshLossy {
		return
	}
	if v.Class == up {
		v.Look = web.VerdictLook(mesh.Degraded)
	}
	v.Conclusion += fmt.Sprintf(" %.0f %% of pings from and to it were lost on a typical path in %s.", 100*place.share,
		lossPeriod(r.catalog, true))
}
