package console

import (
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// pastPairsMax is of how many pairs losses of the past are counted: each takes some tens of microseconds.
const pastPairsMax = linesMax * linesMax

// lossesOf counts the losses of lines as columns see them, at present or at the moment that is shown.
func lossesOf(s *console, r request, lines []line, columns []column) lossCounts {
	if r.moment.IsZero() {
		return presentLosses(s, r)
	}
	return pastLosses(s, r, lines, columns)
}

// pastLosses counts the losses in the minutes before the moment that is shown. It counts nothing for whole regions, and
// for more than pastPairsMax pairs.
func pastLosses(s *console, r request, lines []line, columns []column) lossCounts {
	if len(lines)*len(columns) > pastPairsMax {
		return lossCounts{}
	}
	out := lossCounts{pings: map[pairKey]pingCounts{}, latest: map[pairKey]pingCounts{}}
	parts := lossParts(r.snapshot.At)
	for _, l := range lines {
		for _, c := range columns {
			if c.vantage == "" || c.vantage == mesh.Key(l.host.Name) {
				continue
			}
			points, err := s.config.Source.Minutes(r.Context(), r.catalog, latency.MinutesRequest{
				Host: l.host.Name, Check: l.check.Name, Vantages: []string{c.Name},
				Period: latency.Period{From: parts[0][0], To: r.snapshot.At},
			})
			if err != nil {
				s.config.Logger.Debug().Err(err).Msg("losses unknown")
				return lossCounts{}
			}
			for _, p := range points {
				part := 0
				for part+1 < len(parts) && !p.At.Before(parts[part+1][0]) {
					part++
				}
				out.add(pairKey{mesh.Key(l.host.Name), l.check.Name, c.vantage}, part, p.Sent, p.Lost)
			}
		}
	}
	out.shares = sharesOf(out.pings)
	return out
}

// pingLosses counts the losses of all pings, at present or at the moment that is shown.
func pingLosses(s *console, r request) lossCounts {
	return lossesOf(s, r, question{check: allPings}.lines(r.catalog, r.snapshot), columns(r, question{}))
}
