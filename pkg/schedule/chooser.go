package schedule

import (
	"cmp"
	"math"
	"slices"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// Chooser chooses the vantages that probe the checks of a catalog. It is safe for concurrent use. The names and regions
// of the hosts must not change while it is in use.
type Chooser struct {
	hosts []candidate // by key
}

// candidate is a vantage that could probe a check.
type candidate struct{ key, region, provider string }

// NewChooser returns the Chooser of a catalog.
func NewChooser(c *catalog.Catalog) *Chooser {
	providers := make(map[string]string, len(c.Regions))
	for _, r := range c.Regions {
		providers[r.Name] = r.Provider
	}
	hosts := make([]candidate, len(c.Hosts))
	for i := range c.Hosts {
		h := &c.Hosts[i]
		hosts[i] = candidate{h.Key(), h.Region, providers[h.Region]}
	}
	slices.SortFunc(hosts, func(a, b candidate) int { return cmp.Compare(a.key, b.key) })
	return &Chooser{hosts}
}

// Observers returns the keys of the vantages that probe the check, in the order of their phases. The host itself is
// never among them, nor are the vantages of regions that leave the check out. In a full mesh that is every other
// host; in a larger one they are chosen by rendezvous hash outside the host's region, so that adding a vantage moves
// few duties.
func (c *Chooser) Observers(host *catalog.Host, check *catalog.Check) []string {
	few := len(c.hosts) > FullMesh || check.FewObservers
	candidates := falling{rest: c.weigh(host, check, few), bound: math.MaxUint64}
	chosen := make([]bool, len(candidates.rest))
	if few {
		c.choose(&candidates, chosen)
	}
	keys := make([]string, 0, min(len(chosen), FullMesh))
	for place := range chosen {
		if !few || chosen[place] {
			keys = append(keys, c.hosts[candidates.at(place)].key)
		}
	}
	return keys
}

// weigh returns all vantages that could probe the check.
func (c *Chooser) weigh(host *catalog.Host, check *catalog.Check, few bool) []weighed {
	out := make([]weighed, 0, len(c.hosts))
	self := host.Key()
	target := hashed().with(self).with(check.Name)
	for i := range c.hosts {
		v := &c.hosts[i]
		if v.key == self || few && v.region == host.Region || slices.Contains(check.Except, v.region) {
			continue
		}
		out = append(out, weighed{target.with(v.key).sum(), i})
	}
	return out
}

// choose marks the candidates that are chosen, by their place: first the heaviest of each of RegionsMin regions, then
// the heaviest of the rest. Both keep to the limit per provider, and exceed it only if no other candidate is left.
func (c *Chooser) choose(candidates *falling, chosen []bool) {
	regions, providers, count := map[string]int{}, map[string]int{}, 0
	take := func(most int, fits func(candidate) bool) {
		for i := 0; i < len(chosen) && count < most; i++ {
			v := c.hosts[candidates.at(i)]
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
}

// weighed is a host as a candidate, by its place among all hosts, and its rendezvous weight.
type weighed struct {
	weight uint64
	host   int
}

// falling are candidates by falling weight. Of a thousand, a choice looks at a few dozen: it sorts the heaviest first,
// and others only when they are asked for.
type falling struct {
	sorted, rest []weighed
	bound        uint64 // the weights of the rest are at most that
}

// at returns the host of a candidate by the candidate's place.
func (f *falling) at(place int) int {
	for len(f.sorted) <= place {
		f.sortMore()
	}
	return f.sorted[place].host
}

// sortMore sorts an eighth of the rest, since the weights are evenly spread.
func (f *falling) sortMore() {
	f.bound -= min(f.bound, f.bound/8+1)
	begin, rest := len(f.sorted), f.rest[:0]
	for _, w := range f.rest {
		if w.weight >= f.bound {
			f.sorted = append(f.sorted, w)
		} else {
			rest = append(rest, w)
		}
	}
	f.rest = rest
	slices.SortFunc(f.sorted[begin:], func(a, b weighed) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.host, b.host))
	})
}
