package mesh

import "time"

// Gossip is what an agent's gossip tells beside its observations: mostly a word or none. It is never a vote.
type Gossip struct {
	Acks []Rumour // hosts that acknowledged a probe directly since the batch before, and when that probe left; by host
	Dead []Rumour // hosts that gossip holds dead, and since when; by host
}

// Rumour is a host and a moment of which gossip tells.
type Rumour struct {
	Host string // the host's key
	At   time.Time
}
