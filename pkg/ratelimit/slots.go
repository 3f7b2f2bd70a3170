package ratelimit

import (
	"net/netip"
	"slices"
)

// Slots bounds how many connections, event streams and the like are open at once, in total and for each client. What
// occupies a slot is its holder, of type T. Slots is not safe for concurrent use.
type Slots[T comparable] struct {
	max, perClient, used int
	holders              map[netip.Prefix][]T // oldest first
}

// NewSlots returns free slots: max in total, perClient for each client.
func NewSlots[T comparable](max, perClient int) *Slots[T] {
	return &Slots[T]{max: max, perClient: perClient, holders: map[netip.Prefix][]T{}}
}

// Acquire assigns a slot to a holder of the client. If none is free, the client with the most slots loses one, and the
// caller must close its holder: the oldest that is idle, or else the oldest. ok is false if the client gets no slot.
//
// A client that has the most slots itself gets no more, except in exchange for one of its own that is idle.
// Otherwise clients that reconnect at once when they lose a slot would evict each other for ever. A nil idle means that
// no holder is idle.
func (s *Slots[T]) Acquire(client netip.Prefix, holder T, idle func(T) bool) (evicted *T, ok bool) {
	if s.used >= s.max || len(s.holders[client]) >= s.perClient {
		from := client
		if len(s.holders[client]) < s.perClient {
			from = s.largest(client)
		}
		if evicted = choose(s.holders[from], from != client, idle); evicted == nil {
			return nil, false
		}
		s.Release(from, *evicted)
	}
	s.holders[client] = append(s.holders[client], holder)
	s.used++
	return evicted, true
}

// Used returns how many slots are occupied.
func (s *Slots[T]) Used() int { return s.used }

// largest returns the client with the most slots: the given one, unless another has more than it would have with one
// more.
func (s *Slots[T]) largest(client netip.Prefix) netip.Prefix {
	found, most := client, len(s.holders[client])+1
	for c, holders := range s.holders {
		if len(holders) > most {
			found, most = c, len(holders)
		}
	}
	return found
}

// choose returns the holder to evict: the oldest that is idle, or of another client the oldest.
func choose[T comparable](holders []T, otherClient bool, idle func(T) bool) *T {
	for _, h := range holders {
		if idle != nil && idle(h) {
			return &h
		}
	}
	if otherClient && len(holders) > 0 {
		oldest := holders[0]
		return &oldest
	}
	return nil
}

// Release frees a holder's slot. It does nothing if the holder has none, as after it was evicted.
func (s *Slots[T]) Release(client netip.Prefix, holder T) {
	holders := s.holders[client]
	i := slices.Index(holders, holder)
	if i < 0 {
		return
	}
	s.used--
	if len(holders) == 1 {
		delete(s.holders, client) // else the map would keep every client that ever came
		return
	}
	s.holders[client] = slices.Delete(holders, i, i+1)
}
