package mesh

import (
	"slices"
	"time"
)

// Vote is what a region, or one vantage in it, says of a check. The zero value is Abstain.
type Vote uint8

// The votes.
const (
	Abstain Vote = iota
	OK
	Bad
)

var voteWords = words[Vote]{Abstain: "abstain", OK: "ok", Bad: "bad"}

// String is the vote's word.
func (v Vote) String() string { return voteWords.word(v) }

// MarshalText encodes the vote as its word.
func (v Vote) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText decodes the vote's word.
func (v *Vote) UnmarshalText(text []byte) error { return voteWords.parse(text, v) }

// Verdict is what the quorum holds true of a check.
type Verdict string

// The verdicts. Pending is a new or changed check that was never up yet; it alarms nobody.
const (
	Pending  Verdict = "pending"
	Up       Verdict = "up"
	Degraded Verdict = "degraded"
	Partial  Verdict = "partial"
	Unknown  Verdict = "unknown"
	Down     Verdict = "down"
)

// verdictsBySeverity is the one order of verdicts. That of statuses follows it.
var verdictsBySeverity = []Verdict{Pending, Up, Degraded, Unknown, Partial, Down}

// Severity orders verdicts: a larger one is worse. It is -1 for the zero Verdict.
func (v Verdict) Severity() int { return slices.Index(verdictsBySeverity, v) }

// Status is the public word for a host.
type Status string

// The statuses of a host, the words of Atlassian Statuspage and one more: unknown, which is never shown as operational.
const (
	Operational         Status = "operational"
	DegradedPerformance Status = "degraded_performance"
	PartialOutage       Status = "partial_outage"
	MajorOutage         Status = "major_outage"
	UnderMaintenance    Status = "under_maintenance"
	StatusUnknown       Status = "unknown"
)

// statusesBySeverity is the one order of statuses. Unknown is worse than a service that is merely slow, since it may be an outage;
// an outage that is confirmed is worse than one that may be.
var statusesBySeverity = []Status{
	Operational, UnderMaintenance, DegradedPerformance, StatusUnknown, PartialOutage, MajorOutage,
}

// Severity orders statuses: a larger one is worse. It is -1 for the zero Status.
func (s Status) Severity() int { return slices.Index(statusesBySeverity, s) }

// Tally counts the votes on a check by region.
type Tally struct {
	Regions int `json:"regions"` // N: regions set to look at the check and heard once, and the host's own
	Voters  int `json:"voters"`  // Regions without the host's own
	OK      int `json:"ok"`      // u: regions that say ok
	Bad     int `json:"bad"`     // d: regions that say bad
}

// EdgeState is one vantage's latest word on one check through one address family.
type EdgeState struct {
	Vantage  string        `json:"vantage"`
	Family   Family        `json:"family"`
	Outcome  Outcome       `json:"outcome"`
	Stage    Stage         `json:"stage"`
	Reason   string        `json:"reason,omitempty"`
	Address  string        `json:"address,omitempty"`  // of a name: the address that answered, or what each one tried gave
	RTT      time.Duration `json:"rtt"`                // nanoseconds
	At       time.Time     `json:"at,omitzero"`        // when it was observed; zero when never
	Since    time.Time     `json:"since,omitzero"`     // start of the present run of good, bad or inconclusive looks
	LastGood time.Time     `json:"last_good,omitzero"` // latest good look
	LastBad  time.Time     `json:"last_bad,omitzero"`  // latest bad look
	Vote     Vote          `json:"vote"`               // what it counts for
	LeftOut  bool          `json:"left_out,omitempty"` // it has no part in the vantage's vote: another family has an opinion
	Why      string        `json:"why,omitempty"`      // why it abstains: "never looked", "stale", "inconclusive: ...", "silent"
}

// RegionVote is one region's vote on a check, with the edges it was made from.
type RegionVote struct {
	Region string      `json:"region"`
	Own    bool        `json:"own,omitempty"` // the host's own region: shown, never counted
	Vote   Vote        `json:"vote"`
	Since  time.Time   `json:"since,omitzero"`
	Why    string      `json:"why,omitempty"` // one reason for a bad vote or an abstention, for operators; see Failure
	Edges  []EdgeState `json:"edges"`
}

// CheckState is what the judge holds of one check.
type CheckState struct {
	Name       string       `json:"name"`
	Kind       string       `json:"kind"`
	Critical   bool         `json:"critical"`
	Verdict    Verdict      `json:"verdict"`
	Since      time.Time    `json:"since,omitzero"` // when the verdict's cause began
	Rule       string       `json:"rule"`           // which sentence of the rule decided
	Sentence   string       `json:"sentence"`       // the verdict in one sentence
	Tally      Tally        `json:"tally"`
	Cause      string       `json:"cause,omitempty"` // while it is down or partial: the same for all that fell together
	Looking    bool         `json:"looking"`         // a round is open: the verdict is forming
	Votes      []RegionVote `json:"votes"`
	Advisories []string     `json:"advisories,omitempty"` // for operators: "path from lusaka: timeout"
}

// HostState is what the judge holds of one host.
type HostState struct {
	Name     string       `json:"name"` // as the catalog spells it
	Region   string       `json:"region"`
	Public   bool         `json:"public"`
	Status   Status       `json:"status"`
	Since    time.Time    `json:"since,omitzero"`
	Sentence string       `json:"sentence"`
	Checks   []CheckState `json:"checks"`
}

// VantageState is what the judge holds of one enrolled vantage.
type VantageState struct {
	Name       string        `json:"name"`
	Region     string        `json:"region"`
	Version    string        `json:"version"`
	Revision   string        `json:"revision"`       // the catalog it works by
	Heard      time.Time     `json:"heard,omitzero"` // its last batch; zero when never heard
	Connected  time.Time     `json:"connected,omitzero"`
	Clock      time.Duration `json:"clock"` // its wall clock less the stream's, nanoseconds
	Lag        time.Duration `json:"lag"`   // worst timer overrun, nanoseconds
	Queued     int           `json:"queued"`
	Dropped    uint64        `json:"dropped"`
	SpoolOff   string        `json:"spool_off,omitempty"` // why what it sees waits in its memory and not on its disk
	Silent     bool          `json:"silent"`
	Abstains   string        `json:"abstains,omitempty"` // why it has no vote at all, or none in one address family
	Advisories []string      `json:"advisories,omitempty"`

	IdentityShared time.Time `json:"identity_shared,omitzero"` // since when two agents use its identity; zero: one does
}

// Snapshot is everything the judge holds at one moment of the stream, as an immutable value.
type Snapshot struct {
	At       time.Time      `json:"at"`               // mesh time; after ShowWallTime the wall clock's
	Offset   time.Duration  `json:"offset,omitempty"` // mesh time less the wall clock, nanoseconds; set by ShowWallTime
	Sequence uint64         `json:"sequence"`         // the stream's sequence
	Revision string         `json:"revision"`         // the catalog in force
	Hosts    []HostState    `json:"hosts"`            // in the catalog's order
	Vantages []VantageState `json:"vantages"`         // by name
	Alerts   []string       `json:"alerts,omitempty"` // for operators, about the mesh itself: "half of the regions are silent at once"
}

// Transition is one change of a check's verdict or of its host's status: when it began, and the votes that caused it.
// Its times are mesh time; people are shown InWallTime.
type Transition struct {
	ID        string        `json:"id"`               // derived from the stream, so that a repeat is recognised: "<sequence>-<host>-<n>"
	Sequence  uint64        `json:"sequence"`         // the stream sequence it was decided at
	Host      string        `json:"host"`             // as the catalog spells it
	Public    bool          `json:"public"`           // whether the host was public then
	Check     string        `json:"check"`            // whose verdict changed; empty when the status changed by itself
	Was       Verdict       `json:"was"`              // the check's verdict before
	Verdict   Verdict       `json:"verdict"`          // and after
	From      Status        `json:"from"`             // the host's status before
	To        Status        `json:"to"`               // and after; may equal From
	Began     time.Time     `json:"began"`            // when the cause began, by the first look that saw it
	Published time.Time     `json:"published"`        // when it was decided
	Offset    time.Duration `json:"offset,omitempty"` // of both, mesh time less the wall clock, nanoseconds
	Sentence  string        `json:"sentence"`
	Rule      string        `json:"rule"`
	Cause     string        `json:"cause,omitempty"` // what it shares with other hosts that fell together for the same voters: one cut, one incident
	Tally     Tally         `json:"tally"`
	Votes     []RegionVote  `json:"votes"`
}
