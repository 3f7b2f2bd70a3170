package mesh

import "time"

// Observation is the immutable result of running one check once, over one address family: of a probe with its
// retries, or of its first miss.
type Observation struct {
	Host    string        // the host's key, see Key
	Check   string        // the check's name
	Family  Family        // the edge within the check
	Began   time.Time     // when the first probe was sent, in the stream's time
	Elapsed time.Duration // from Began to the result
	RTT     time.Duration // round-trip time of the answer; zero without one
	Outcome Outcome
	Stage   Stage
	Round   uint64 // the round that it answers; zero if the schedule was its reason
	Sent    int    // probes sent
	Lost    int    // those of them without an answer
	// Reason is the agent's free text if Outcome is not Reachable: "connection refused", "timeout", "status 503".
	// It is for operators; the public reads what ClassifyReason makes of it.
	Reason  string
	Address string  // if the host has a name: the address that answered, or what each address gave; for operators only
	Phases  Phases  // of a good answer over HTTP; zero of others
	Expiry  *Expiry // what the good answer depends on and ends within the days that the check asks for; nil: nothing
}

// Phases are the parts of the time that an HTTP request took. Those of redirects are summed.
type Phases struct{ Connect, TLS, FirstByte, Body time.Duration }

// Ended returns when the result was known, in the stream's time.
func (o Observation) Ended() time.Time { return o.Began.Add(o.Elapsed) }

// Batch is what an agent publishes every two seconds, and at once after a miss: a heartbeat with its observations.
type Batch struct {
	Agent     string        // the vantage's key
	Epoch     uint64        // random for each start of the agent
	Sequence  uint64        // 1, 2, 3 ... within an epoch
	Revision  string        // the catalog that the agent uses; empty before it has one
	Version   string        // the agent's program version
	Began     time.Time     // when the batch was opened, in the stream's time
	Connected time.Time     // when the agent's present connection began, in the stream's time
	Clock     time.Duration // the agent's wall clock less the stream's time when the batch was opened
	Lag       time.Duration // the worst overrun of a timer since the batch before
	Queued    int           // batches in the agent that NATS has not acknowledged
	Dropped   uint64        // observations that the agent's full queue dropped since it started
	SpoolOff  string        // why the agent does not spool to disk what it cannot publish; empty if it does
	Refusal   Refusal       // the catalog that the agent refuses; zero if none

	AnchorsFail  bool // it reaches none of its region's anchors, so what it does not reach may be its own fault
	Observations []Observation
	Gossip       Gossip
}

// Refusal is a catalog that an agent received and cannot use. It keeps using the one before, if it has one.
type Refusal struct {
	Revision string `json:"revision,omitempty"` // empty where the agent cannot read even that
	Reason   string `json:"reason"`
}

// Replayed reports whether an observation of the batch ended before the agent's present connection began. It then
// completes the history and is never a vote, since it may be hours old.
func (b *Batch) Replayed(o Observation) bool { return o.Ended().Before(b.Connected) }

// History reports whether the batch was made before the agent's present connection, or before the agent started. It
// then shows nothing about the present, not even that the agent is alive.
func (b *Batch) History() bool { return b.Began.Before(b.Connected) }

// Gossip is what an agent learned about other agents from its gossip, reported with its observations.
type Gossip struct {
	// Proofs are the hosts that signed a nonce of this agent since its batch before, with the time at which the nonce
	// was sent, sorted by host. They are the only part of gossip that can become a vote, since nobody can forge them.
	Proofs []GossipEntry
	// Acks are memberlist's acknowledgements, which anybody with the gossip key can forge. The judge ignores them;
	// agents send them for coordinators of version N-1.
	Acks []GossipEntry
	Dead []GossipEntry // hosts that gossip considers dead, and since when; sorted by host
}

// GossipEntry is what gossip reports about one host: that something was so at a time.
type GossipEntry struct {
	Host string // the host's key
	At   time.Time
}
