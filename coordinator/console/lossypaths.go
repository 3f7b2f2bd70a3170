package console

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// pingCounts are the probes of pings, sent and lost, in the two halves of a time.
type pingCounts struct {
	sent, lost [2]uint64
}

func (c *pingCounts) add(o pingCounts) {
	for half := range c.sent {
		c.sent[half] += o.sent[half]
		c.lost[half] += o.lost[half]
	}
}

func (c pingCounts) total() (sent, lost uint64) { return c.sent[0] + c.sent[1], c.lost[0] + c.lost[1] }

func (c pingCounts) share() float64 {
	sent, lost := c.total()
	if sent == 0 {
		return 0
	}
	return float64(lost) / float64(sent)
}

// lasting reports whether much was lost in both halves: what was lost in one alone was an event, and is over or too
// young to be called lasting.
func (c pingCounts) lasting() bool {
	for half := range c.sent {
		if c.sent[half] < lossySent || c.lost[half] < lossyLost ||
			float64(c.lost[half]) < meshLossy*float64(c.sent[half]) {
			return false
		}
	}
	return true
}

const (
	// lossySent and lossyLost are how many probes must be sent and lost in each half: one is an accident.
	lossySent, lossyLost = 15, 2
	// lossyElsewhere is the share above which an end loses probes of others, too, and the path is not to blame.
	lossyElsewhere = meshLossy / 2
	// lossyMax is how many paths are listed.
	lossyMax = 20
)

// lossyPath is a path between two regions that loses probes while both exchange them with the others.
type lossyPath struct {
	direction
	pingCounts
	back *pingCounts // of the other direction, if it loses probes, too
	host string      // one that is probed over the path
}

// pingEdge is what one observer, a vantage or a whole region, counted of one host.
type pingEdge struct {
	direction
	host, observer string
	pingCounts
}

// pingEdges returns the counts that show how paths between regions do. It leaves out hosts that are, or may be, at
// fault themselves, and observers that lost all pings: that is a cut or a filter, which has an item of its own.
func pingEdges(rule catalog.Rule, s *mesh.Snapshot, counts map[pairKey]pingCounts) (out []pingEdge) {
	regions := map[string]string{}
	for _, v := range s.Vantages {
		regions[mesh.Key(v.Name)] = v.Region
		regions[wholeRegion+v.Region] = v.Region
	}
	type probed struct{ host, check string }
	pings := map[probed]string{} // with the region of the host
	for i := range s.Hosts {
		h := &s.Hosts[i]
		if hostAtFault(rule, h, s.At) {
			continue
		}
		for _, c := range h.Checks {
			if c.Kind == catalog.KindPing {
				pings[probed{mesh.Key(h.Name), c.Name}] = h.Region
			}
		}
	}
	for key, count := range counts {
		from, to := regions[key.observer], pings[probed{key.host, key.check}]
		if sent, lost := count.total(); from != "" && to != "" && from != to && lost < sent {
			out = append(out, pingEdge{direction{from, to}, key.host, key.observer, count})
		}
	}
	return out
}

// elsewhere holds what the ends of edges lose with other regions than the one at the other end.
type elsewhere struct {
	byHost, byObserver map[string][]pingEdge
	known              map[[2]string]bool // by an end and the region at the other one: whether it is well
}

func newElsewhere(edges []pingEdge) elsewhere {
	e := elsewhere{map[string][]pingEdge{}, map[string][]pingEdge{}, map[[2]string]bool{}}
	for _, edge := range edges {
		e.byHost[edge.host] = append(e.byHost[edge.host], edge)
		e.byObserver[edge.observer] = append(e.byObserver[edge.observer], edge)
	}
	return e
}

// well reports whether the ends of an edge lose next to nothing with the other regions: neither the host with other
// observers, nor the observer with other hosts. What is not known is not well.
func (e elsewhere) well(edge pingEdge) bool {
	return e.end("host "+edge.host, edge.from, e.byHost[edge.host], func(o pingEdge) string { return o.from }) &&
		e.end("observer "+edge.observer, edge.to, e.byObserver[edge.observer], func(o pingEdge) string { return o.to })
}

func (e elsewhere) end(name, region string, edges []pingEdge, other func(pingEdge) string) bool {
	key := [2]string{name, region}
	well, known := e.known[key]
	if !known {
		var shares []float64
		for _, o := range edges {
			if other(o) != region {
				shares = append(shares, o.share())
			}
		}
		well = len(shares) > 0 && median(shares) < lossyElsewhere
		e.known[key] = well
	}
	return well
}

// median returns the higher of the two middle values of an even number: losses elsewhere count in favor of a path.
func median(shares []float64) float64 {
	slices.Sort(shares)
	return shares[len(shares)/2]
}

// lossyPaths names the pairs of regions between which probes are lost lastingly, while both regions exchange theirs
// with the others, in the catalog's order. A path that is named as a cut is left out.
func lossyPaths(
	c *catalog.Catalog, s *mesh.Snapshot, counts map[pairKey]pingCounts, cuts []brokenPath,
) (out []lossyPath) {
	edges := pingEdges(c.Rule, s, counts)
	shares := make([]float64, 0, len(edges))
	for _, e := range edges {
		shares = append(shares, e.share())
	}
	if len(shares) == 0 || median(shares) >= lossyElsewhere {
		return nil // the whole mesh loses them
	}
	found, others := map[direction]*lossyPath{}, newElsewhere(edges)
	for _, e := range edges {
		// Whether the ends are well is asked of edges with losses alone: most have none.
		if _, lost := e.total(); lost > 0 && !others.well(e) {
			continue
		}
		p := found[e.direction]
		if p == nil {
			p = &lossyPath{direction: e.direction, host: e.host}
			found[e.direction] = p
		}
		p.add(e.pingCounts)
		p.host = min(p.host, e.host)
	}
	cut := map[direction]bool{}
	for _, p := range cuts {
		cut[p.direction], cut[p.reversed()] = true, true
	}
	position := regionOrder(c)
	for d, p := range found {
		back := found[d.reversed()]
		both := back != nil && back.lasting()
		if !p.lasting() || cut[d] || both && position[d.to] < position[d.from] {
			continue // one that loses both ways is named once
		}
		if both {
			p.back = &back.pingCounts
		}
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b lossyPath) int {
		return cmp.Or(position[a.from]-position[b.from], position[a.to]-position[b.to])
	})
	return out[:min(len(out), lossyMax)]
}

func (p lossyPath) item(r request) item {
	from, to := sentence.City(r.catalog, p.from), sentence.City(r.catalog, p.to)
	sent, lost := p.total()
	title := fmt.Sprintf("Path from %s to %s loses %.0f %% of probes", from, to, 100*p.share())
	detail := fmt.Sprintf("%d of %s from %s lost in %s", lost, mesh.Count(int(sent), "ping"), from,
		lossPeriod(r.catalog, false))
	if p.back != nil {
		sent, lost = p.back.total()
		title = fmt.Sprintf("Path between %s and %s loses probes: %.0f %% from %s, %.0f %% from %s",
			from, to, 100*p.share(), from, 100*p.back.share(), to)
		detail += fmt.Sprintf(", and %d of %d from %s", lost, sent, to)
	}
	it := item{
		Look: web.VerdictLook(mesh.Degraded), Title: title, rank: rankPath,
		Detail: detail + ", in both halves of that time, while both regions exchange pings with the others: the path " +
			"between the two loses them, and no host does. Clients read nothing of it.",
		Links: []web.Link{
			{Name: from, URL: regionPath(p.from)}, {Name: to, URL: regionPath(p.to)},
			{Name: "Matrix", URL: question{from: p.from, region: p.to, check: allPings, show: showLoss}.address("", "")},
		},
	}
	if h := hostsByKey(r.catalog)[p.host]; h != nil && len(h.Addresses) > 0 {
		it.Detail += fmt.Sprintf(" Next: trace the path from a host in %s, and send what it shows to the providers of both.",
			from)
		it.Commands = []string{"mtr --report --report-cycles 100 " + h.Addresses[0]}
	}
	return it
}
