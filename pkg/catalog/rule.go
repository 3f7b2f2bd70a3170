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
	ProbesMax    int           `json:"probes_max"`     // 6: an edge is bad after this many, whatever its loss
	RetryEvery   time.Duration `json:"retry_every"`    // 300ms: between retries, which do not wait for one another
	WaitMin      time.Duration `json:"wait_min"`       // 250ms: the least wait for an answer before the first retry
	WaitMax      time.Duration `json:"wait_max"`       // 1s: and the most
	BadMin       time.Duration `json:"bad_min"`        // 1s: no edge is bad by silence sooner
	LossFirst    float64       `json:"loss_first"`     // 0.01: assumed loss of an edge that has no history
	LossMin      float64       `json:"loss_min"`       // 0.001: bounds of the loss that sets the number of retries
	LossMax      float64       `json:"loss_max"`       // 0.3
	LossHalfLife time.Duration `json:"loss_half_life"` // 1h: of the estimate of an edge's loss

	// Rule 2, freshness.
	FreshIntervals float64       `json:"fresh_intervals"` // 2: a vote expires after so many intervals and a timeout
	Silence        time.Duration `json:"silence"`         // 6s: an agent without a batch for this long is silent

	// Rule 3, isolated vantages.
	IsolatedShare      float64       `json:"isolated_share"`       // 0.5: of a vantage's targets, bad for it alone
	IsolatedAgreement  float64       `json:"isolated_agreement"`   // 0.667: of the other regions, those that vote ok
	IsolatedTargetsMin int           `json:"isolated_targets_min"` // 3: fewer targets are no evidence against it
	LagMax             time.Duration `json:"lag_max"`              // 1s: its timers overran by this: it abstains

	// Rule 5, the verdict.
	BadRegionsMin   int           `json:"bad_regions_min"`   // 2: fewer bad regions are a path advisory
	DownShare       float64       `json:"down_share"`        // 0.5: down if more than this share of all regions is bad
	OKShare         float64       `json:"ok_share"`          // 0.2: and at most this share of those that answered, ok
	RegionsMin      int           `json:"regions_min"`       // 3: with fewer regions the verdict is unknown
	AllowTwoRegions bool          `json:"allow_two_regions"` // false: whether two regions are enough
	PartialAfter    time.Duration `json:"partial_after"`     // 5s: least time between two confirmations of partial
	SilentShare     float64       `json:"silent_share"`      // 0.5: so many regions silent at once: perhaps our fault
	DegradedShare   float64       `json:"degraded_share"`    // 0.5: degraded if more of the ok regions are too slow

	// Rule 6, look now.
	RoundTimeout time.Duration `json:"round_timeout"` // 3s: a round closes after this; see RoundGrace
	RoundGrace   time.Duration `json:"round_grace"`   // 2s: or after the check's timeout and this, if longer
	RoundBudget  float64       `json:"round_budget"`  // 0.25: extra probes of rounds, as a share of the scheduled ones
	RoundEvery   time.Duration `json:"round_every"`   // 1s: at most one round a host in this time

	// Rule 7, hysteresis.
	RecoverSuccesses int           `json:"recover_successes"` // 2: in a row, until a region's recovery counts
	RecoverShare     float64       `json:"recover_share"`     // 0.5: of the voting regions, those that recovered
	FlapPenalty      float64       `json:"flap_penalty"`      // 1000: for entering or leaving down
	FlapHalfLife     time.Duration `json:"flap_half_life"`    // 5m: of the penalty
	FlapOver         float64       `json:"flap_over"`         // 10000: above this the check is flapping
	FlapUnder        float64       `json:"flap_under"`        // 5000: until it is below this
	FlapDownAfter    time.Duration `json:"flap_down_after"`   // 1m: a longer down is published in spite of flapping

	// Rule 8, one cut, one incident.
	CutHold   time.Duration `json:"cut_hold"`   // 2s: the longest wait for other hosts that may be going down
	CutWithin time.Duration `json:"cut_within"` // 5s: hosts down within this, for the same voters, are one incident
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

// Freshness is how long a vote on the check counts after its observation: rule 2. It is at least Silence and one
// interval: otherwise a pause of the stream that is too short to count as silence would let the votes of a check with
// a short interval expire.
func (r Rule) Freshness(c Check) time.Duration {
	intervals := time.Duration(r.FreshIntervals * float64(c.Interval))
	return max(intervals, r.Silence+c.Interval) + c.Timeout
}

// UnmarshalJSON reads a rule. A number that is missing, since an older program wrote the rule, has its default.
func (r *Rule) UnmarshalJSON(data []byte) error {
	type plain Rule
	out := plain(DefaultRule())
	if err := json.Unmarshal(data, &out); err != nil {
		return err
	}
	*r = Rule(out)
	return nil
}

// ProbesMost bounds ProbesMax: the probes of one check in a row, the first and its retries.
const ProbesMost = 20

// Contradiction is a number of the rule that cannot stand beside another.
type Contradiction struct{ Key, Text string }

// Contradictions returns every number of the rule that contradicts another.
func (r Rule) Contradictions() []Contradiction {
	var out []Contradiction
	for _, c := range []struct {
		wrong     bool
		key, text string
	}{
		{r.ProbesMin > r.ProbesMax, "probes_min", "probes_min is more than probes_max"},
		{r.WaitMin > r.WaitMax, "wait_min", "wait_min is more than wait_max"},
		{r.LossMin > r.LossMax, "loss_min", "loss_min is more than loss_max"},
		{r.FlapUnder > r.FlapOver, "flap_under", "flap_under is more than flap_over"},
	} {
		if c.wrong {
			out = append(out, Contradiction{c.key, c.text})
		}
	}
	return out
}

// Validate reports numbers that are impossible or contradict others: what a peer sends must not stop an agent.
func (r Rule) Validate() error {
	for _, c := range r.Contradictions() {
		return errors.New(c.Text)
	}
	switch {
	case r.ProbesMin < 1 || r.ProbesMax > ProbesMost || r.WaitMin <= 0 || r.FlapUnder <= 0,
		r.LossMin <= 0 || r.LossMax >= 1 || r.MissChance <= 0 || r.MissChance >= 1 || r.RetryEvery <= 0,
		r.LossHalfLife <= 0 || r.FlapHalfLife <= 0 || r.LagMax <= 0 || r.RegionsMin < 2 || r.Silence <= 0,
		r.RoundEvery <= 0 || r.RoundTimeout <= 0 || r.FreshIntervals < 1 || r.RoundBudget < 0:
		return errors.New("the rule has impossible numbers")
	}
	return nil
}
