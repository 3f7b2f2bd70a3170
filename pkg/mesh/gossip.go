package mesh

import "time"

// Gossip is what an agent reports of other agents beside its observations.
type Gossip struct {
	// Proofs are hosts that signed this agent's nonce since the batch before, and when the nonce was sent; by host.
	// They are the only part of gossip that may become a vote.
	Proofs []Rumour
	// Acks are acknowledgements of memberlist, which any holder of the gossip key can forge. They count for nothing;
	// agents send them for coordinators of version N-1.
	Acks []Rumour
	Dead []Rumour // hosts that gossip considers dead, and since when; by host
}

// Rumour is a host and a moment of which gossip reports.
type Rumour struct {
	Host string // the host's key
	At   time.Time
}
