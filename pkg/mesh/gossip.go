package mesh

import "time"

// Gossip is what an agent learned about other agents from its gossip, reported with its observations.
type Gossip struct {
	// Proofs are the hosts that signed a nonce of this agent since its batch before, with the time at which the nonce
	// was sent, sorted by host. They are the only part of gossip that can become a vote, since nobody can forge them.
	Proofs []Rumour
	// Acks are memberlist's acknowledgements, which anybody with the gossip key can forge. The judge ignores them;
	// agents send them for coordinators of version N-1.
	Acks []Rumour
	Dead []Rumour // hosts that gossip considers dead, and since when; sorted by host
}

// Rumour is what gossip reports about one host: that something was so at a time.
type Rumour struct {
	Host string // the host's key
	At   time.Time
}
