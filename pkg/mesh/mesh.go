// Package mesh holds the nouns of a probe mesh: what an agent observes, what a region votes, what the quorum holds true,
// and what is published. It contains values only: no clock, no network, no files.
package mesh

import (
	"fmt"
	"strings"
	"time"
)

// Key is the spelling in which a host's name is carried between programs: lower case. It is shown as the catalog spells it.
func Key(host string) string { return strings.ToLower(host) }

// Family is the address family an edge looks through. A check has one edge a family. AnyFamily is what an agent of
// the version before sends of a host whose address is a name: it tried the first address that it had a route to.
type Family uint8

// The address families.
const (
	AnyFamily Family = 0
	IPv4      Family = 4
	IPv6      Family = 6
)

var familyWords = words[Family]{AnyFamily: "any", IPv4: "ipv4", IPv6: "ipv6"}

// Title is the family as people write it: "IPv4", "IPv6" or "any family".
func (f Family) Title() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return "any family"
}

// String is the family's word: any, ipv4 or ipv6.
func (f Family) String() string { return familyWords.word(f) }

// MarshalText encodes the family as its word.
func (f Family) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText decodes the family's word.
func (f *Family) UnmarshalText(text []byte) error { return familyWords.parse(text, f) }

// Outcome is what one probe found. The zero value is Inconclusive: what we do not know is never taken for good or bad.
type Outcome uint8

// The outcomes of a probe.
const (
	// Inconclusive says that the fault was ours: no permission, no local route, a silent resolver, a timer overrun.
	Inconclusive Outcome = iota
	// Reachable says that the host answered as the check asks, in its usual time.
	Reachable
	// Slow says that the host answered as the check asks, later than this edge's usual time but before it turned bad.
	Slow
	// Unreachable says that the host did not answer, or answered something else than the check asks.
	Unreachable
)

var outcomeWords = words[Outcome]{
	Inconclusive: "inconclusive", Reachable: "reachable", Slow: "slow", Unreachable: "unreachable",
}

// Good reports whether the host answered as the check asks, slowly or not.
func (o Outcome) Good() bool { return o == Reachable || o == Slow }

// String is the outcome's word.
func (o Outcome) String() string { return outcomeWords.word(o) }

// MarshalText encodes the outcome as its word.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText decodes the outcome's word.
func (o *Outcome) UnmarshalText(text []byte) error { return outcomeWords.parse(text, o) }

// Stage says how far an edge was with its retries when it spoke.
type Stage uint8

const (
	// Settled is an edge's finished opinion: the first good answer, or bad after every retry.
	Settled Stage = iota
	// Missed is an edge's first miss, sent at once while its retries are under way. It opens a round and is never a vote.
	Missed
)

var stageWords = words[Stage]{Settled: "settled", Missed: "missed"}

// String is the stage's word.
func (s Stage) String() string { return stageWords.word(s) }

// MarshalText encodes the stage as its word.
func (s Stage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText decodes the stage's word.
func (s *Stage) UnmarshalText(text []byte) error { return stageWords.parse(text, s) }

// Observation is the immutable result of one look: one scheduled probe with its retries, or its first miss.
type Observation struct {
	Host    string        // the host's key, see Key
	Check   string        // the check's name
	Family  Family        // the edge within the check
	Began   time.Time     // when the first probe of the look left, in the stream's time
	Elapsed time.Duration // from Began to this opinion
	RTT     time.Duration // round-trip time of the answer; zero when there was none
	Outcome Outcome
	Stage   Stage
	Round   uint64 // the round this look answers; zero for a scheduled look
	Sent    int    // probes sent
	Lost    int    // probes of those that were not answered
	// Reason is the agent's free text when Outcome is not Reachable: "connection refused", "timeout", "status 503".
	// It is for operators; the public reads what ClassifyReason makes of it.
	Reason  string
	Address string // of a name: the address that answered, or what each address tried gave; for operators only
}

// Ended is when the observation was finished, in the stream's time.
func (o Observation) Ended() time.Time { return o.Began.Add(o.Elapsed) }

// Batch is what an agent publishes every two seconds, and at once after a miss: its heartbeat, with what it observed.
type Batch struct {
	Agent     string        // the vantage's key
	Epoch     uint64        // drawn anew each time the agent starts
	Sequence  uint64        // counts up by one within an epoch
	Revision  string        // the catalog the agent works by; empty before it has one
	Version   string        // the agent's program version
	Began     time.Time     // when the batch was opened, in the stream's time
	Connected time.Time     // when the agent's present connection began, in the stream's time
	Clock     time.Duration // the agent's wall clock less the stream's time when the batch was opened
	Lag       time.Duration // the worst overrun of a timer since the batch before
	Queued    int           // batches that wait in the agent for an acknowledgement
	Dropped   uint64        // observations that the agent's bounded queue lost since it started
	SpoolOff  string        // why observations wait in the agent's memory and not on its disk; empty: they wait on the disk

	AnchorsFail  bool // none of its region's anchors can be reached: what it does not reach tells of itself
	Observations []Observation
	Gossip       Gossip
}

// Replayed reports whether an observation of the batch ended before the agent's present connection began: it completes the
// history and is never a vote.
func (b *Batch) Replayed(o Observation) bool { return o.Ended().Before(b.Connected) }

// History reports whether the whole batch waited in its agent from before the present connection, or from before the agent
// started: nothing in it tells of now, not even that the agent lives.
func (b *Batch) History() bool { return b.Began.Before(b.Connected) }

// Roster is who is enrolled: the keys of every vantage that may speak, sorted.
type Roster struct {
	Vantages []string
}

// Ask is the judge's "look now": every vantage outside the host's region looks at all the host's checks.
type Ask struct {
	Round uint64    // the stream sequence of the message that opened the round
	Host  string    // the host's key
	Since time.Time // when the look that caused it began: an ok begun before counts neither way. The judge's alone, not told to agents
}

// words names the values of a small enumeration.
type words[T comparable] map[T]string

func (w words[T]) word(v T) string {
	if s, ok := w[v]; ok {
		return s
	}
	return fmt.Sprintf("%T(%v)", v, any(v))
}

func (w words[T]) parse(text []byte, v *T) error {
	for k, s := range w {
		if s == string(text) {
			*v = k
			return nil
		}
	}
	return fmt.Errorf("unknown %T %q", *v, text)
}
