package mesh

import (
	"slices"
	"time"
)

// Vote is the vote of a region, or of one vantage in it, on a check. The zero value is Abstain.
type Vote uint8

// The votes.
const (
	Abstain Vote = iota
	OK
	Bad
)

var voteNames = names[Vote]{Abstain: "abstain", OK: "ok", Bad: "bad"}

// String returns "abstain", "ok" or "bad".
func (v Vote) String() string { return voteNames.name(v) }

// MarshalText encodes the vote as String does.
func (v Vote) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText decodes what MarshalText wrote.
func (v *Vote) UnmarshalText(text []byte) error { return voteNames.parse(text, v) }

// Verdict is what the quorum decides about a check.
type Verdict string

// The verdicts. Pending is that of a new or changed check until it is up for the first time; it alarms nobody.
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

// Verdicts returns every verdict, the least severe first.
func Verdicts() []Verdict { return slices.Clone(verdictsBySeverity) }

// Severity orders verdicts: a larger one is worse. It is -1 for the zero Verdict.
func (v Verdict) Severity() int { return slices.Index(verdictsBySeverity, v) }

// Status is a host's status as the public reads it.
type Status string

// The statuses: those of Atlassian Statuspage, and unknown, which must never be shown as operational.
const (
	Operational         Status = "operational"
	DegradedPerformance Status = "degraded_performance"
	PartialOutage       Status = "partial_outage"
	MajorOutage         Status = "major_outage"
	UnderMaintenance    Status = "under_maintenance"
	StatusUnknown       Status = "unknown"
)

// statusesBySeverity is the one order of statuses. Unknown is worse than degraded, since it may be an outage, and
// better than an outage that is confirmed.
var statusesBySeverity = []Status{
	Operational, UnderMaintenance, DegradedPerformance, StatusUnknown, PartialOutage, MajorOutage,
}

// Statuses returns every status, the least severe first.
func Statuses() []Status { return slices.Clone(statusesBySeverity) }

// Severity orders statuses: a larger one is worse. It is -1 for the zero Status.
func (s Status) Severity() int { return slices.Index(statusesBySeverity, s) }

// Tally counts the votes on a check by region.
type Tally struct {
	Regions int `json:"regions"` // N: regions whose vantages run the check and have reported once, and the host's own
	Voters  int `json:"voters"`  // Regions without the host's own
	OK      int `json:"ok"`      // u: regions that vote ok
	Bad     int `json:"bad"`     // d: regions that vote bad
}

// EdgeState is the latest result of one vantage for one check over one address family.
type EdgeState struct {
	Vantage  string        `json:"vantage"`
	Family   Family        `json:"family"`
	Outcome  Outcome       `json:"outcome"`
	Stage    Stage         `json:"stage"`
	Reason   string        `json:"reason,omitempty"`
	Address  string        `json:"address,omitempty"`  // see Observation.Address
	RTT      time.Duration `json:"rtt"`                // nanoseconds
	At       time.Time     `json:"at,omitzero"`        // when it was observed; zero if never
	Since    time.Time     `json:"since,omitzero"`     // since when results are alike: good, bad or inconclusive
	LastGood time.Time     `json:"last_good,omitzero"` // latest good result
	LastBad  time.Time     `json:"last_bad,omitzero"`  // latest bad result
	Vote     Vote          `json:"vote"`               // how it counts
	LeftOut  bool          `json:"left_out,omitempty"` // not part of the vantage's vote: another family decides it
	Why      string        `json:"why,omitempty"`      // why it abstains: "stale", "inconclusive: ...", "silent"
}

// HasTime reports whether the latest result has a round-trip time. A ping that is only filtered votes ok without one.
func (e EdgeState) HasTime() bool { return e.Outcome.Good() && e.RTT > 0 }

// RegionVote is one region's vote on a check, and the edges that it follows from.
type RegionVote struct {
	Region string      `json:"region"`
	Own    bool        `json:"own,omitempty"` // it is the host's own region: shown, never counted
	Vote   Vote        `json:"vote"`
	Since  time.Time   `json:"since,omitzero"`
	Why    string      `json:"why,omitempty"` // one reason for a bad vote or an abstention, for operators; see Failure
	Edges  []EdgeState `json:"edges"`
}

// CheckState is what the judge knows about one check.
type CheckState struct {
	Name      string       `json:"name"`
	Kind      string       `json:"kind"`
	Critical  bool         `json:"critical"`
	Internal  bool         `json:"internal,omitempty"` // of a public host, and for operators alone
	Verdict   Verdict      `json:"verdict"`
	Since     time.Time    `json:"since,omitzero"`  // when the verdict's cause began
	Rule      string       `json:"rule"`            // the part of the rule that decided
	Sentence  string       `json:"sentence"`        // the verdict in one sentence
	First     *Sighting    `json:"first,omitempty"` // of the failure, while it is down or partial
	Tally     Tally        `json:"tally"`
	Cause     string       `json:"cause,omitempty"` // while it is down or partial: shared by all that failed together
	RoundOpen bool         `json:"looking"`         // a round is open, so the verdict may change within seconds
	Votes     []RegionVote `json:"votes"`
	Except    []string     `json:"except,omitempty"` // regions that the catalog has leave the check out
	// Maintenance is the id of the occurrence that covers the check now. Its verdict is what was measured all the same.
	Maintenance string   `json:"maintenance,omitempty"`
	Advisories  []string `json:"advisories,omitempty"` // for operators: "path from lusaka: timeout"
	Expiry      *Expiry  `json:"expiry,omitempty"`     // the earliest that vantages report; an advisory describes it
}

// Sighting is which region saw a failure first. It is decided when the verdict is published, so that all that is said
// of the failure later says the same. Region is empty if that is not known.
type Sighting struct {
	Region string    `json:"region"`
	At     time.Time `json:"at,omitzero"` // by the wall clock, unlike the times of a state that are computed with
}

// HostState is what the judge knows about one host.
type HostState struct {
	Name     string       `json:"name"` // as the catalog spells it
	Region   string       `json:"region"`
	Public   bool         `json:"public"`
	Status   Status       `json:"status"`
	Since    time.Time    `json:"since,omitzero"`
	Sentence string       `json:"sentence"`
	Checks   []CheckState `json:"checks"`
}

// VantageState is what the judge knows about one enrolled vantage.
type VantageState struct {
	Name       string        `json:"name"`
	Region     string        `json:"region"`
	Version    string        `json:"version"`
	Revision   string        `json:"revision"`       // the catalog that it uses
	LastBatch  time.Time     `json:"heard,omitzero"` // when its latest batch arrived; zero if none ever did
	Connected  time.Time     `json:"connected,omitzero"`
	Clock      time.Duration `json:"clock"` // its wall clock less the stream's, nanoseconds
	Lag        time.Duration `json:"lag"`   // worst timer overrun, nanoseconds
	Queued     int           `json:"queued"`
	Dropped    uint64        `json:"dropped"`
	SpoolOff   string        `json:"spool_off,omitempty"` // see Batch.SpoolOff
	Refusal    Refusal       `json:"refusal,omitzero"`    // see Batch.Refusal
	Silent     bool          `json:"silent"`
	Abstains   string        `json:"abstains,omitempty"` // why it has no vote at all, or none over one address family
	Advisories []string      `json:"advisories,omitempty"`

	IdentityShared time.Time `json:"identity_shared,omitzero"` // since when two agents use its identity; zero if one
}

// Snapshot is everything that the judge knows at one moment of the stream, as an immutable value.
type Snapshot struct {
	At       time.Time      `json:"at"`               // mesh time; after ShowWallTime the wall clock's
	Offset   time.Duration  `json:"offset,omitempty"` // mesh time less the wall clock, nanoseconds; set by ShowWallTime
	Sequence uint64         `json:"sequence"`         // the stream's sequence
	Revision string         `json:"revision"`         // the catalog in force
	Hosts    []HostState    `json:"hosts"`            // in the catalog's order
	Vantages []VantageState `json:"vantages"`         // by name
	Alerts   []string       `json:"alerts,omitempty"` // for operators, about the mesh itself
}

// Transition is one change of a check's verdict or of a host's status, with the votes that caused it. Its times are
// mesh time; InWallTime converts them for people.
type Transition struct {
	ID        string        `json:"id"`       // "<sequence>-<host>-<n>": the same in every replay
	Sequence  uint64        `json:"sequence"` // the stream sequence at which it was decided
	Host      string        `json:"host"`     // as the catalog spells it
	HostID    string        `json:"host_id,omitempty"`
	Public    bool          `json:"public"` // whether the host, and the check, were public then
	Check     string        `json:"check"`  // whose verdict changed; empty if only the status changed
	CheckID   string        `json:"check_id,omitempty"`
	Was       Verdict       `json:"was"`              // the check's verdict before
	Verdict   Verdict       `json:"verdict"`          // and after
	From      Status        `json:"from"`             // the host's status before
	To        Status        `json:"to"`               // and after; may equal From
	Began     time.Time     `json:"began"`            // when the cause began: start of the first observation of it
	Published time.Time     `json:"published"`        // when it was decided
	Offset    time.Duration `json:"offset,omitempty"` // of both, mesh time less the wall clock, nanoseconds
	Sentence  string        `json:"sentence"`
	Rule      string        `json:"rule"`
	Cause     string        `json:"cause,omitempty"` // shared by hosts that failed together for the same voters
	Tally     Tally         `json:"tally"`
	Votes     []RegionVote  `json:"votes"`
	// Maintenance is the id of the occurrence that covered the check then: its failure is no incident.
	Maintenance string `json:"maintenance,omitempty"`
	// Aside says that the check was internal though its host was public. From and To are then the status that the
	// host's internal checks make by themselves, and not the host's.
	Aside bool `json:"aside,omitempty"`
}
