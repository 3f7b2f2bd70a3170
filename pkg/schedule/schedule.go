// Package schedule decides which vantage probes which check when. Every agent computes it for itself, from the catalog
// alone: a Chooser returns the vantages of a check, Plan the duties of one vantage, and Duty.Next when a duty is due.
// Agents and the judge must get the same results, so that nothing here depends on the order of a map or on the machine.
package schedule

import (
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

// Plan returns the duties of a vantage, in the catalog's order.
func Plan(c *catalog.Catalog, vantage string) []Duty {
	var duties []Duty
	chooser := NewChooser(c)
	for i := range c.Hosts {
		host := &c.Hosts[i]
		servers := serversOf(chooser, host)
		for j := range host.Checks {
			check := &host.Checks[j]
			phaseOf := staggered(chooser, host, check, vantage)
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
	c *Chooser, host *catalog.Host, check *catalog.Check, vantage string,
) func(mesh.Family) (time.Duration, bool) {
	observers := c.Observers(host, check)
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

// hash returns the hash of texts.
func hash(parts ...string) uint64 {
	h := hashed()
	for _, p := range parts {
		h = h.with(p)
	}
	return h.sum()
}

// hashing is FNV-1a (RFC 9923) of texts, each of which ends with a zero byte. It is a value, so that many hashes can
// share what they begin with.
type hashing uint64

const fnvOffset, fnvPrime = 0xcbf29ce484222325, 0x100000001b3

func hashed() hashing { return fnvOffset }

// with returns the hash with one more text.
func (h hashing) with(text string) hashing {
	for i := range len(text) {
		h = (h ^ hashing(text[i])) * fnvPrime
	}
	return h * fnvPrime // the zero byte
}

// sum returns the hash with the finalizer of splitmix64 (Steele, Lea, Flood 2014), since FNV alone mixes the last bytes
// badly.
func (h hashing) sum() uint64 {
	x := uint64(h)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
