// Package schedule says who owes which probe when. Every agent works it out for itself from the catalog alone:
// Observers names the vantages set to look at a check, Plan lists what one vantage owes, and Duty.Next tells when.
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
	// FullMesh is the number of hosts up to which every vantage looks at every host.
	FullMesh = 100
	// ObserversMax is how many vantages look at a check in a larger mesh, so that the cost of a host stays constant.
	ObserversMax = 16
	// RegionsMin is over how many regions those are spread, where the catalog has as many.
	RegionsMin = 8
	// PerProviderMax is how many of those may share a provider, as long as others are left to choose.
	PerProviderMax = 2
)

// Duty is one edge that a vantage looks at by schedule.
type Duty struct {
	Host     *catalog.Host
	Check    *catalog.Check
	Family   mesh.Family
	Address  string
	Interval time.Duration
	Phase    time.Duration // into the interval, counted from the Unix epoch
}

// Observers are the keys of the vantages set to look at the check, in the order of their phases. The host itself is
// never among them. In a full mesh that is every other host; in a larger one they are chosen by rendezvous hash outside
// the host's region, so that adding a vantage moves few duties.
func Observers(c *catalog.Catalog, host *catalog.Host, check *catalog.Check) []string {
	candidates := candidates(c, host, check)
	if len(c.Hosts) > FullMesh {
		candidates = choose(candidates)
	}
	keys := make([]string, len(candidates))
	for i, v := range candidates {
		keys[i] = v.key
	}
	return keys
}

// Plan lists the edges that the vantage owes, in the catalog's order.
func Plan(c *catalog.Catalog, vantage string) []Duty {
	var duties []Duty
	for i := range c.Hosts {
		host := &c.Hosts[i]
		for j := range host.Checks {
			check := &host.Checks[j]
			observers := Observers(c, host, check)
			rank := slices.Index(observers, vantage)
			if rank < 0 {
				continue
			}
			for _, family := range host.FamiliesOf(check) {
				duties = append(duties, Duty{
					Host: host, Check: check, Family: family, Address: host.Address(family),
					Interval: check.Interval, Phase: phase(host, check, family, rank, len(observers)),
				})
			}
		}
	}
	return duties
}

// Next is the duty's next moment strictly after now. Moments are aligned to the wall clock, so that the observers of a
// check follow one another evenly without speaking to each other.
func (d Duty) Next(now time.Time) time.Time {
	since := time.Duration(now.UnixNano()) - d.Phase
	late := since % d.Interval
	if late < 0 {
		late += d.Interval
	}
	return now.Add(d.Interval - late)
}

// phase is rank/V of the interval, turned by the check's own hash so that checks do not all begin together.
func phase(host *catalog.Host, check *catalog.Check, family mesh.Family, rank, observers int) time.Duration {
	turn := float64(hash(host.Key(), check.Name, family.String())>>11) / (1 << 53)
	turn += float64(rank) / float64(observers)
	turn -= float64(int(turn))
	return time.Duration(turn * float64(check.Interval))
}

type candidate struct {
	key, region, provider string
	weight                uint64
}

// candidates are all vantages that could look at the check, by falling rendezvous weight.
func candidates(c *catalog.Catalog, host *catalog.Host, check *catalog.Check) []candidate {
	providers := make(map[string]string, len(c.Regions))
	for _, r := range c.Regions {
		providers[r.Name] = r.Provider
	}
	large := len(c.Hosts) > FullMesh
	out := make([]candidate, 0, len(c.Hosts))
	self := host.Key()
	for i := range c.Hosts {
		v := &c.Hosts[i]
		key := v.Key()
		if key == self || large && v.Region == host.Region {
			continue
		}
		out = append(out, candidate{key, v.Region, providers[v.Region], hash(self, check.Name, key)})
	}
	slices.SortFunc(out, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.key, b.key))
	})
	return out
}

// choose takes the heaviest candidates: first one of each of RegionsMin regions, then whoever is heaviest, both within
// the bound for providers; and past the bound only where nobody else is left.
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
