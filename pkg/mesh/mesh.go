// Package mesh defines the nouns of a probe mesh: what an agent observes, how a region votes, what the quorum
// decides, and what is published. It contains values only: no clock, no network, no files.
package mesh

import (
	"fmt"
	"strings"
	"time"
)

// Key returns the spelling of a host's name that programs use among themselves: lower case. People read the catalog's.
func Key(host string) string { return strings.ToLower(host) }

// Family is the address family that an edge uses. A check has one edge for each family. AnyFamily is what an agent of
// version N-1 sends for a host whose address is a name: it tries the first address to which it has a route.
type Family uint8

// The address families.
const (
	AnyFamily Family = 0
	IPv4      Family = 4
	IPv6      Family = 6
)

var familyNames = names[Family]{AnyFamily: "any", IPv4: "ipv4", IPv6: "ipv6"}

// Title returns the family as people write it: "IPv4", "IPv6" or "any family".
func (f Family) Title() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return "any family"
}

// String returns "any", "ipv4" or "ipv6".
func (f Family) String() string { return familyNames.name(f) }

// MarshalText encodes the family as String does.
func (f Family) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText decodes what MarshalText wrote.
func (f *Family) UnmarshalText(text []byte) error { return familyNames.parse(text, f) }

// Outcome is what one probe found. The zero value is Inconclusive: not knowing counts as neither good nor bad.
type Outcome uint8

// The outcomes of a probe.
const (
	// Inconclusive means that the fault is ours: no permission, no local route, a silent resolver, a timer overrun.
	Inconclusive Outcome = iota
	// Reachable means that the host answered as the check demands, in its usual time.
	Reachable
	// Slow means that it answered as the check demands, later than usual for this edge but before it turned bad.
	Slow
	// Unreachable means that the host did not answer, or not as the check demands.
	Unreachable
)

var outcomeNames = names[Outcome]{
	Inconclusive: "inconclusive", Reachable: "reachable", Slow: "slow", Unreachable: "unreachable",
}

// Good reports whether the host answered as the check demands, slowly or not.
func (o Outcome) Good() bool { return o == Reachable || o == Slow }

// String returns the outcome in lower case: "reachable".
func (o Outcome) String() string { return outcomeNames.name(o) }

// MarshalText encodes the outcome as String does.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText decodes what MarshalText wrote.
func (o *Outcome) UnmarshalText(text []byte) error { return outcomeNames.parse(text, o) }

// Stage is how far an edge was with its retries when it made an observation.
type Stage uint8

const (
	// Settled is an edge's result: the first good answer, or bad after all retries.
	Settled Stage = iota
	// Missed is the first probe without a good answer, reported at once while the retries go on. It may start a round,
	// which saves seconds; it is never a vote.
	Missed
)

var stageNames = names[Stage]{Settled: "settled", Missed: "missed"}

// String returns "settled" or "missed".
func (s Stage) String() string { return stageNames.name(s) }

// MarshalText encodes the stage as String does.
func (s Stage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText decodes what MarshalText wrote.
func (s *Stage) UnmarshalText(text []byte) error { return stageNames.parse(text, s) }

// Roster lists the keys of all enrolled vantages, sorted. Nobody else can publish batches.
type Roster struct {
	Vantages []string
	// Hosts are the ids of the vantages' hosts, which may have been renamed since their agents joined. Rosters of
	// earlier versions have none.
	Hosts map[string]string
}

// RoundRequest is the judge's request for a round: every vantage outside the host's region runs all checks of the
// host now.
type RoundRequest struct {
	Round uint64 // the stream sequence of the message that caused the round
	Host  string // the host's key
	// Since is when the observation that caused the round began. An ok that began earlier does not answer the round. It
	// is for the judge; agents do not get it.
	Since time.Time
}

// names maps the values of an enumeration to their spelling in JSON and for people.
type names[T comparable] map[T]string

func (n names[T]) name(v T) string {
	if s, ok := n[v]; ok {
		return s
	}
	return fmt.Sprintf("%T(%d)", v, any(v)) // %v would ask for its name again, without an end
}

func (n names[T]) parse(text []byte, v *T) error {
	for k, s := range n {
		if s == string(text) {
			*v = k
			return nil
		}
	}
	return fmt.Errorf("unknown %T %q", *v, text)
}
