package console

import (
	"fmt"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// lossyPlace is a region, or the whole mesh, that loses probes on most of its paths.
type lossyPlace struct {
	region string // "": the whole mesh
	share  float64
	pingCounts
}

// lossyPlaces returns, of the latest counts, the whole mesh if most regions keep losing probes on most of their paths.
// Otherwise it returns the regions that do, in the catalog's order, if the paths between the others lose few. Two
// regions of eight are an end of about half of all paths: most paths alone do not distinguish them from the whole mesh.
// With two regions in all it cannot be decided which of them loses the probes.
func lossyPlaces(c *catalog.Catalog, s *mesh.Snapshot, counts map[pairKey]pingCounts) (out []lossyPlace) {
	edges := pingEdges(c.Rule, s, counts)
	lossy, known := lossyRegions(edges)
	whole := newLossyPlace("", edges, func(pingEdge) bool { return true })
	if whole.lasting() && whole.share >= meshLossy && 2*len(lossy) > known {
		return []lossyPlace{whole}
	}
	others := newLossyPlace("", edges, func(e pingEdge) bool { return !lossy[e.from] && !lossy[e.to] })
	if sent, _ := others.total(); sent == 0 || others.share >= lossyElsewhere {
		return nil
	}
	for _, region := range c.Regions {
		place := newLossyPlace(region.Name, edges, func(e pingEdge) bool { return e.touches(region.Name) })
		if lossy[region.Name] && place.lasting() && place.share >= meshLossy {
			out = append(out, place)
		}
	}
	return out
}

// lossyRegions returns the regions that lose probes on more than half of their paths, and how many have paths.
func lossyRegions(edges []pingEdge) (lossy map[string]bool, known int) {
	all, bad := map[string]int{}, map[string]int{}
	for _, e := range edges {
		for _, region := range []string{e.from, e.to} {
			all[region]++
			if e.share() >= meshLossy {
				bad[region]++
			}
		}
	}
	lossy = map[string]bool{}
	for region, n := range bad {
		if 2*n > all[region] {
			lossy[region] = true
		}
	}
	return lossy, len(all)
}

// touches reports whether a region is at one of the ends.
func (e pingEdge) touches(region string) bool { return e.from == region || e.to == region }

// newLossyPlace sums up edges; its share is the median of theirs.
func newLossyPlace(region string, edges []pingEdge, of func(pingEdge) bool) lossyPlace {
	p := lossyPlace{region: region}
	var shares []float64
	for _, e := range edges {
		if of(e) {
			p.add(e.pingCounts)
			shares = append(shares, e.share())
		}
	}
	if len(shares) > 0 {
		p.share = median(shares)
	}
	return p
}

func (p lossyPlace) item(r request) item {
	period := lossPeriod(r.catalog, true)
	sent, lost := p.total()
	it := item{
		Look: web.VerdictLook(mesh.Degraded), rank: rankPath,
		Title: fmt.Sprintf("All regions lose probes: %.0f %% on a typical path", 100*p.share),
		Detail: fmt.Sprintf("%d of %d pings between regions were lost in %s, in both halves of that time. "+
			"No path and no host is to blame alone: look at what all of them share. Retries keep most of it from clients.",
			lost, sent, period),
		Links: []web.Link{{Name: "Matrix", URL: question{check: allPings, show: showLoss}.address("", "")}},
	}
	if p.region == "" {
		return it
	}
	city := sentence.City(r.catalog, p.region)
	it.Title = fmt.Sprintf("%s loses %.0f %% of probes on a typical path", city, 100*p.share)
	it.Detail = fmt.Sprintf("%d of %d pings from and to %s were lost in %s, in both halves of that time, while the "+
		"others exchange theirs: look at the uplink of %s. Retries keep most of it from clients.",
		lost, sent, city, period, city)
	it.Links = []web.Link{
		{Name: city, URL: regionPath(p.region)},
		{Name: "Matrix", URL: question{region: p.region, check: allPings, show: showLoss}.address("", "")},
	}
	return it
}
