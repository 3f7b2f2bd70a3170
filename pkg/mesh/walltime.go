package mesh

import "time"

// Verdicts are computed in mesh time, and people read the wall clock. The functions of this file convert what is shown.

// ShowWallTime converts all times of the snapshot with one offset, which is mesh time less the wall clock at the
// snapshot's moment, so that what was a minute ago stays a minute before At. The caller must own the snapshot.
func (s *Snapshot) ShowWallTime(offset time.Duration) {
	if offset == 0 {
		return
	}
	s.Offset = offset
	move(-offset, &s.At)
	for i := range s.Hosts {
		h := &s.Hosts[i]
		move(-offset, &h.Since)
		for k := range h.Checks {
			move(-offset, &h.Checks[k].Since)
			moveVotes(-offset, h.Checks[k].Votes)
		}
	}
	for i := range s.Vantages {
		v := &s.Vantages[i]
		move(-offset, &v.LastBatch, &v.Connected, &v.IdentityShared)
	}
}

// MeshTime returns the mesh time of a snapshot, also after ShowWallTime. It orders the snapshots of one stream.
func (s *Snapshot) MeshTime() time.Time { return s.At.Add(s.Offset) }

// InWallTime returns a copy with all times as the wall clock showed them when the transition was published.
func (t Transition) InWallTime() Transition {
	if t.Offset == 0 {
		return t
	}
	move(-t.Offset, &t.Began, &t.Published)
	votes := make([]RegionVote, len(t.Votes))
	for i, v := range t.Votes {
		v.Edges = append([]EdgeState(nil), v.Edges...)
		votes[i] = v
	}
	moveVotes(-t.Offset, votes)
	t.Votes = votes
	return t
}

func moveVotes(by time.Duration, votes []RegionVote) {
	for i := range votes {
		move(by, &votes[i].Since)
		for k := range votes[i].Edges {
			e := &votes[i].Edges[k]
			move(by, &e.At, &e.Since, &e.LastGood, &e.LastBad)
		}
	}
}

// move shifts the times that are set; zero times stay zero.
func move(by time.Duration, times ...*time.Time) {
	for _, t := range times {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
}
