package console

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/latency"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// pairKey is a check of a host and its observer: a vantage or, in a large mesh, a whole region.
type pairKey struct {
	host     string // its key
	check    string
	observer string // the key of a vantage, or wholeRegion and the name of a region
}

// wholeRegion begins an observer that is a region and no vantage.
const wholeRegion = "region "

// losses are the shares of lost probes in the last minutes; in a large mesh, in the present hour.
type losses map[pairKey]float64

// of returns the losses of one check as a vantage of a region sees them.
func (l losses) of(at line, region, vantage string) (share float64, counted bool) {
	host := mesh.Key(at.host.Name)
	if share, counted = l[pairKey{host, at.check.Name, vantage}]; !counted {
		share, counted = l[pairKey{host, at.check.Name, wholeRegion + region}]
	}
	return share, counted
}

// typical is the median share: a host that was down for minutes lost everything, and does not make the others' paths
// lossy.
func (l losses) typical() float64 {
	if len(l) == 0 {
		return 0
	}
	return median(slices.Collect(maps.Values(l)))
}

// beside is the typical share that is lost between the ends of a direction and all other regions: where that is much, a
// probe that fails is no cut between the two.
func (l losses) beside(s *mesh.Snapshot, d direction) float64 {
	from, to := map[string]bool{wholeRegion + d.from: true}, map[string]bool{}
	for _, v := range s.Vantages {
		from[mesh.Key(v.Name)] = from[mesh.Key(v.Name)] || v.Region == d.from
	}
	for i := range s.Hosts {
		to[mesh.Key(s.Hosts[i].Name)] = s.Hosts[i].Region == d.to
	}
	at, of := losses{}, losses{} // one end each
	for key, share := range l {
		switch begins, ends := from[key.observer], to[key.host]; {
		case begins && !ends:
			at[key] = share
		case ends && !begins:
			of[key] = share
		}
	}
	return max(at.typical(), of.typical())
}

// lossCounts are losses, and the probes that they were counted of.
type lossCounts struct {
	shares losses
	pings  map[pairKey]pingCounts
	latest map[pairKey]pingCounts // of the second half of the time: enough to judge many paths at once, and sooner
}

// sharesOf returns the share of each count that has probes.
func sharesOf(counts map[pairKey]pingCounts) losses {
	shares := make(losses, len(counts))
	for key, c := range counts {
		if sent, _ := c.total(); sent > 0 {
			shares[key] = c.share()
		}
	}
	return shares
}

const (
	// lossWindow is the time over which loss is counted: sixty probes at ten seconds.
	lossWindow = 10 * time.Minute
	// lossFor is how long counted losses are shown before they are counted again.
	lossFor = 10 * time.Second
	// lossWait bounds the counting: the first one reads the minutes of a hundred hosts, on a busy machine in seconds.
	lossWait = 10 * time.Second
	// lossHostsMax is up to how many hosts losses are counted by vantage: it counts every pair.
	lossHostsMax = 100
)

// lossPeriod names the time over which losses are counted, or the latest part of it.
func lossPeriod(c *catalog.Catalog, latest bool) string {
	switch {
	case len(c.Hosts) > lossHostsMax:
		return "this hour and the one before" // by region, only hours are counted
	case latest:
		return "the last five minutes"
	}
	return "the last ten minutes"
}

// presentLosses counts the losses of all pairs. The result is shared by all readers for lossFor.
func presentLosses(s *console, r request) lossCounts {
	s.lossMu.Lock()
	defer s.lossMu.Unlock()
	now := time.Now()
	if now.Sub(s.lossAt) < lossFor {
		return s.loss
	}
	// The answer is for all readers: one who leaves meanwhile must not have them see a mesh without losses.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), lossWait)
	defer cancel()
	var counted lossCounts
	var err error
	if len(r.catalog.Hosts) > lossHostsMax {
		counted, err = countLossesByRegion(ctx, s.config.Source, r.catalog)
	} else {
		counted, err = countLosses(ctx, s.config.Source, now)
	}
	if err != nil {
		s.config.Logger.Debug().Err(err).Msg("losses unknown")
		counted = lossCounts{} // old ones are not present ones
	}
	// The age counts from the end: readers who waited for the lock during a slow count use its result.
	s.loss, s.lossAt = counted, time.Now()
	return counted
}

// lossParts divides the time over which losses are counted: into its first half, and two parts of the second one. They
// meet at whole minutes, in which losses are counted.
func lossParts(now time.Time) [3][2]time.Time {
	middle, late := now.Add(-lossWindow/2).Truncate(time.Minute), now.Add(-lossWindow/4).Truncate(time.Minute)
	return [3][2]time.Time{{now.Add(-lossWindow), middle}, {middle, late}, {late, now}}
}

// add adds the probes of a part of the time.
func (l lossCounts) add(key pairKey, part int, sent, lost uint64) {
	counts, latest := l.pings[key], l.latest[key]
	half := min(part, 1)
	counts.sent[half], counts.lost[half] = counts.sent[half]+sent, counts.lost[half]+lost
	l.pings[key] = counts
	if part > 0 {
		latest.sent[part-1], latest.lost[part-1] = latest.sent[part-1]+sent, latest.lost[part-1]+lost
		l.latest[key] = latest
	}
}

// countLosses counts by vantage. It reads each minute once: the parts of the time are added.
func countLosses(ctx context.Context, source Source, now time.Time) (lossCounts, error) {
	out := lossCounts{pings: map[pairKey]pingCounts{}, latest: map[pairKey]pingCounts{}}
	for part, period := range lossParts(now) {
		pairs, err := source.Losses(ctx, period[0], period[1])
		if err != nil {
			return out, err
		}
		for _, p := range pairs {
			out.add(pairKey{mesh.Key(p.Host), p.Check, mesh.Key(p.Vantage)}, part, p.Sent, p.Lost)
		}
	}
	out.shares = sharesOf(out.pings)
	return out, nil
}

// countLossesByRegion counts by region, in the present hour and the one before: nothing shorter is counted by region.
func countLossesByRegion(ctx context.Context, source Source, c *catalog.Catalog) (lossCounts, error) {
	overview, err := source.Overview(ctx, c, false)
	counted, pings := losses{}, map[pairKey]pingCounts{}
	for host, recent := range overview {
		for check, regions := range recent.Checks {
			for i := range regions {
				hours := &regions[i].Hours
				before, hour := hours.At(latency.RecentHours-2), hours.At(latency.RecentHours-1)
				key := pairKey{host, check, wholeRegion + regions[i].Region}
				if hour.Sent > 0 {
					counted[key] = hour.Loss()
				}
				pings[key] = pingCounts{
					sent: [2]uint64{before.Sent, hour.Sent}, lost: [2]uint64{before.Lost, hour.Lost},
				}
			}
		}
	}
	return lossCounts{counted, pings, pings}, err
}
