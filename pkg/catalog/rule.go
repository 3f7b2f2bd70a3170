package catalog

import (
	"encoding/json"
	"errors"
	"time"
)

// Rule holds every number of the quorum rule. Defaults are in DefaultRule; keys in the file are the JSON names.
type Rule struct {
	// Rule 1, the edge.
	MissChance   float64       `json:"miss_chance"`    // 0.001: so many misses by chance are rarer than this
	ProbesMin    int           `json:"probes_min"`     // 3: fewer lost probes never make an edge bad
	ProbesMax    int           `json:"probes_max"`     // 6: more are never waited for
	RetryEvery   time.Duration `json:"retry_every"`    // 300ms: between retries, which do not wait for one another
	WaitMin      time.Duration `json:"wait_min"`       // 250ms: the least wait for an answer before the first retry leaves
	WaitMax      time.Duration `json:"wait_max"`       // 1s: and the most
	BadMin       time.Duration `json:"bad_min"`        // 1s: no edge is bad by silence sooner
	LossFirst    float64       `json:"loss_first"`     // 0.01: what is taken for an edge's loss at first
	LossMin      float64       `json:"loss_min"`       // 0.001: bounds of the loss that the number of retries is worked out from
	LossMax      float64       `json:"loss_max"`       // 0.3
	LossHalfLife time.Duration `json:"loss_half_life"` // 1h: of what an edge has learned of its loss

	// Rule 2, freshness.
	FreshIntervals float64       `json:"fresh_intervals"` // 2: a vote expires after so many intervals and a timeout
	Silence        time.Duration `json:"silence"`         // 6s: an agent without a batch for this long is silent

	// Rule 3, isolated vantages.
	IsolatedShare      float64       `json:"isolated_share"`       // 0.5: of its targets that a vantage calls bad and others hold good
	IsolatedAgreement  float64       `json:"isolated_agreement"`   // 0.667: share of the other regions that must hold a target good
	IsolatedTargetsMin int           `json:"isolated_targets_min"` // 3: fewer targets tell nothing of the vantage
	LagMax             time.Duration `json:"lag_max"`              // 1s: a vantage whose timers overran by this abstains

	// Rule 5, the verdict.
	BadRegionsMin   int           `json:"bad_regions_min"`   // 2: fewer bad regions are a path advisory
	DownShare       float64       `json:"down_share"`        // 0.5: more than this share of all regions say bad
	OKShare         float64       `json:"ok_share"`          // 0.2: at most this share of those that answered say ok
	RegionsMin      int           `json:"regions_min"`       // 3: fewer regions and the verdict is unknown
	AllowTwoRegions bool          `json:"allow_two_regions"` // false: judge N = 2
	PartialAfter    time.Duration `json:"partial_after"`     // 5s: two rounds that confirm a partial outage are at least this far apart
	SilentShare     float64       `json:"silent_share"`      // 0.5: with this share of the regions silent at once it may be us
	DegradedShare   float64       `json:"degraded_share"`    // 0.5: degraded when more of the ok regions are over an objective

	// Rule 6, look now.
	RoundTimeout time.Duration `json:"round_timeout"` // 3s: a round is closed after this, or the check's timeout and RoundGrace
	RoundGrace   time.Duration `json:"round_grace"`   // 2s
	RoundBudget  float64       `json:"round_budget"`  // 0.25: extra probes of rounds, as a share of the scheduled ones
	RoundEvery   time.Duration `json:"round_every"`   // 1s: at most one round a host in this time

	// Rule 7, hysteresis.
	RecoverSuccesses int           `json:"recover_successes"` // 2: successes a region must see before it helps a check out of down
	RecoverShare     float64       `json:"recover_share"`     // 0.5: share of the voting regions that must have seen them
	FlapPenalty      float64       `json:"flap_penalty"`      // 1000: what entering or leaving down costs a check
	FlapHalfLife     time.Duration `json:"flap_half_life"`    // 5m: of the penalty
	FlapOver         float64       `json:"flap_over"`         // 10000: past this the check is flapping
	FlapUnder        float64       `json:"flap_under"`        // 5000: until it is under this
	FlapDownAfter    time.Duration `json:"flap_down_after"`   // 1m: a down that lasts so long is published all the same

	// Rule 8, one cut, one incident.
	CutHold   time.Duration `json:"cut_hold"`   // 2s: the most that a fall waits while other hosts hover
	CutWithin time.Duration `json:"cut_within"` // 5s: hosts that fall within this of one another, for the same voters, fell together
}

// DefaultRule is the rule as documented in deploy/docs/configure.md.
func DefaultRule() Rule {
	return Rule{
		MissChance: 0.001, ProbesMin: 3, ProbesMax: 6, RetryEvery: 300 * time.Millisecond,
		WaitMin: 250 * time.Millisecond, WaitMax: time.Second, BadMin: time.Second,
		LossFirst: 0.01, LossMin: 0.001, LossMax: 0.3, LossHalfLife: time.Hour,
		FreshIntervals: 2, Silence: 6 * time.Second,
		IsolatedShare: 0.5, IsolatedAgreement: 0.667, IsolatedTargetsMin: 3, LagMax: time.Second,
		BadRegionsMin: 2, DownShare: 0.5, OKShare: 0.2, RegionsMin: 3, PartialAfter: 5 * time.Second,
		SilentShare: 0.5, DegradedShare: 0.5,
		RoundTimeout: 3 * time.Second, RoundGrace: 2 * time.Second, RoundBudget: 0.25, RoundEvery: time.Second,
		RecoverSuccesses: 2, RecoverShare: 0.5,
		FlapPenalty: 1000, FlapHalfLife: 5 * time.Minute, FlapOver: 10_000, FlapUnder: 5000, FlapDownAfter: time.Minute,
		CutHold: 2 * time.Second, CutWithin: 5 * time.Second,
	}
}

// Freshness is how long a vote on the check counts after its observation: rule 2. It is never shorter than an agent may be
// silent and one interval more: otherwise a short pause of the stream, too short to count as silence, would let the votes of a
// check with a short interval expire.
func (r Rule) Freshness(c Check) time.Duration {
	intervals := time.Duration(r.FreshIntervals * float64(c.Interval))
	return max(intervals, r.Silence+c.Interval) + c.Timeout
}

// UnmarshalJSON reads a rule. A number that an older program did not know has its default.
func (r *Rule) UnmarshalJSON(data []byte) error {
	type plain Rule
	out := plain(DefaultRule())
	if err := json.Unmarshal(data, &out); err != nil {
		return err
	}
	*r = Rule(out)
	return nil
}

// ProbesMost bounds the probes of one look.
const ProbesMost = 20

// Validate reports which numbers of the rule cannot be together.
func (r Rule) Validate() error {
	switch {
	case r.ProbesMin < 1 || r.ProbesMax > ProbesMost || r.ProbesMin > r.ProbesMax:
		return errors.New("probes_min is more than probes_max")
	case r.WaitMin <= 0 || r.WaitMin > r.WaitMax:
		return errors.New("wait_min is more than wait_max")
	case r.LossMin <= 0 || r.LossMin > r.LossMax || r.LossMax >= 1:
		return errors.New("loss_min is more than loss_max")
	case r.FlapUnder <= 0 || r.FlapUnder > r.FlapOver:
		return errors.New("flap_under is more than flap_over")
	case r.MissChance <= 0 || r.MissChance >= 1 || r.RetryEvery <= 0 || r.LossHalfLife <= 0 || r.FlapHalfLife <= 0 || r.LagMax <= 0,
		r.RegionsMin < 2 || r.Silence <= 0 || r.RoundEvery <= 0 || r.RoundTimeout <= 0 || r.FreshIntervals < 1 || r.RoundBudget < 0:
		return errors.New("the rule has impossible numbers")
	}
	return nil
}
