// Package schedule decides which vantage probes which check when. Every agent computes it for itself, from the catalog
// alone: Observers returns the vantages of a check, Plan the duties of one vantage, and Duty.Next when a duty is due.
// Agents and the judge must get the same results, so that nothing here depends on the order of a map or on the machine.
package schedule

import (
	"cmp"
	"hash/fnv"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// FullMesh is the number of hosts up to which every vantage probes every host.
	FullMesh = 100
	// ObserversMax is how many vantages probe a check in a larger mesh, so that the cost of a host stays constant.
	ObserversMax = 16
	// RegionsMin is over how many regions those are spread, if the catalog has as many: a quorum needs many regions,
	// and one vantage in each is enough.
	RegionsMin = 8
	// PerProviderMax is how many of those may share a provider, as long as there are others: an outage of one provider
	// must not look like one of the host.
	PerProviderMax = 2
)

// Duty is one edge that a vantage probes on schedule.
type Duty struct {
	Host     *catalog.Host
	Check    *catalog.Check
	Family   mesh.Family
	Address  string
	Interval time.Duration
	Phase    time.Duration // into the interval, counted from the Unix epoch
}

// Observers returns the keys of the vantages that probe the check, in the order of their phases. The host itself is
// never among them, nor are the vantages of regions that leave the check out. In a full mesh that is every other
// host; in a larger one they are chosen by rendezvous hash outside the host's region, so that adding a vantage moves
// few duties.
func Observers(c *catalog.Catalog, host *catalog.Host, check *catalog.Check) []string {
	candidates := candidates(c, host, check)
	if chooses(c, check) {
		candidates = choose(candidates)
	}
	keys := make([]string, len(candidates))
	for i, v := range candidates {
		keys[i] = v.key
	}
	return keys
}

// Plan returns the duties of a vantage, in the catalog's order.
func Plan(c *catalog.Catalog, vantage string) []Duty {
	var duties []Duty
	for i := range c.Hosts {
		host := &c.Hosts[i]
		servers := serversOf(c, host)
		for j := range host.Checks {
			check := &host.Checks[j]
			phaseOf := staggered(c, host, check, vantage)
			if check.SharesServer() {
				phaseOf = servers[check.Port()].phasesOf(check, vantage)
			}
			for _, family := range host.FamiliesOf(check) {
				if phase, ok := phaseOf(family); ok {
					duties = append(duties, Duty{
						Host: host, Check: check, Family: family, Address: host.Address(family),
						Interval: check.Interval, Phase: phase,
					})
				}
			}
		}
	}
	return duties
}

// Next returns the first time after now at which the duty is due. Times are aligned to the wall clock, so that the
// observers of a check probe one after another at even distances without communicating.
func (d Duty) Next(now time.Time) time.Time {
	since := time.Duration(now.UnixNano()) - d.Phase
	late := since % d.Interval
	if late < 0 {
		late += d.Interval
	}
	return now.Add(d.Interval - late)
}

// staggered returns the phases of a check that shares its server with no other, by family; ok is false if the vantage
// does not probe it. They are rank/V of the interval, shifted by a hash of the check so that checks do not all begin
// together.
func staggered(
	c *catalog.Catalog, host *catalog.Host, check *catalog.Check, vantage string,
) func(mesh.Family) (time.Duration, bool) {
	observers := Observers(c, host, check)
	rank := slices.Index(observers, vantage)
	return func(family mesh.Family) (time.Duration, bool) {
		part := shift(host.Key(), check.Name, family.String()) + float64(rank)/float64(len(observers))
		return partOf(check.Interval, part), rank >= 0
	}
}

// shift returns a number in [0, 1) that depends on the texts.
func shift(parts ...string) float64 {
	return float64(hash(parts...)>>11) / (1 << 53) // the upper 53 bits are a float64's precision
}

// partOf returns the part of the interval after its whole multiples.
func partOf(interval time.Duration, part float64) time.Duration {
	return time.Duration((part - float64(int(part))) * float64(interval))
}

// candidate is a vantage that could probe a check.
type candidate struct {
	key, region, provider string
	weight                uint64
}

// candidates returns all vantages that could probe the check, by falling rendezvous weight.
func candidates(c *catalog.Catalog, host *catalog.Host, check *catalog.Check) []candidate {
	providers := make(map[string]string, len(c.Regions))
	for _, r := range c.Regions {
		providers[r.Name] = r.Provider
	}
	few := chooses(c, check)
	out := make([]candidate, 0, len(c.Hosts))
	self := host.Key()
	for i := range c.Hosts {
		v := &c.Hosts[i]
		key := v.Key()
		if key == self || few && v.Region == host.Region || slices.Contains(check.Except, v.Region) {
			continue
		}
		out = append(out, candidate{key, v.Region, providers[v.Region], hash(self, check.Name, key)})
	}
	slices.SortFunc(out, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.key, b.key))
	})
	return out
}

// choose takes the heaviest candidates: first one in each of RegionsMin regions, then the heaviest of the rest. Both
// keep to the limit per provider, and exceed it only if no other candidate is left.
func choose(candidates []candidate) []candidate {
	chosen := make([]bool, len(candidates))
	regions, providers, count := map[string]int{}, map[string]int{}, 0
	take := func(most int, fits func(candidate) bool) {
		for i, v := range candidates {
			if count >= most {
				return
			}
			if chosen[i] || !fits(v) {
				continue
			}
			chosen[i], count = true, count+1
			regions[v.region]++
			providers[v.provider]++
		}
	}
	provider := func(v candidate) bool { return v.provider == "" || providers[v.provider] < PerProviderMax }
	fresh := func(v candidate) bool { return regions[v.region] == 0 }
	take(RegionsMin, func(v candidate) bool { return fresh(v) && provider(v) })
	take(RegionsMin, fresh)
	take(ObserversMax, provider)
	take(ObserversMax, func(candidate) bool { return true })

	out := make([]candidate, 0, count)
	for i, v := range candidates {
		if chosen[i] {
			out = append(out, v)
		}
	}
	return out
}

// hash is FNV-1a with the finalizer of splitmix64 (Steele, Lea, Flood 2014), since FNV alone mixes the last bytes
// badly.
func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
