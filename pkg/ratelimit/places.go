package ratelimit

import (
	"net/netip"
	"slices"
)

// Places are a bounded number of places, of which each client may have a bounded number too. What has a place, as a
// connection or an event stream, is its holder. Places are not safe for concurrent use.
type Places[T comparable] struct {
	max, perClient, used int
	holders              map[netip.Prefix][]T // oldest first
}

// NewPlaces returns free places: max in all, perClient for each client.
func NewPlaces[T comparable](max, perClient int) *Places[T] {
	return &Places[T]{max: max, perClient: perClient, holders: map[netip.Prefix][]T{}}
}

// Acquire takes a place for a holder of the client. If all places are taken, the client with the most of them loses
// one, and the caller must close what held it: the oldest that is idle, or else the oldest. ok is false if there is
// no place.
//
// A client that has the most places itself gets no more, except for one of its own that is idle. Otherwise those who
// reconnect at once when they lose a place would evict each other for ever. A nil idle means that none is.
func (p *Places[T]) Acquire(client netip.Prefix, holder T, idle func(T) bool) (evicted *T, ok bool) {
	if p.used >= p.max || len(p.holders[client]) >= p.perClient {
		from := client
		if len(p.holders[client]) < p.perClient {
			from = p.largest(client)
		}
		if evicted = choose(p.holders[from], from != client, idle); evicted == nil {
			return nil, false
		}
		p.Release(from, *evicted)
	}
	p.holders[client] = append(p.holders[client], holder)
	p.used++
	return evicted, true
}

// largest returns the client with the most places: the given one, unless another has more than it would have with one
// more.
func (p *Places[T]) largest(client netip.Prefix) netip.Prefix {
	found, most := client, len(p.holders[client])+1
	for c, holders := range p.holders {
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

// Release frees a holder's place. It does nothing if the holder has none, as after it was evicted.
func (p *Places[T]) Release(client netip.Prefix, holder T) {
	holders := p.holders[client]
	i := slices.Index(holders, holder)
	if i < 0 {
		return
	}
	p.used--
	if p.holders[client] = slices.Delete(holders, i, i+1); len(holders) == 1 {
		delete(p.holders, client)
	}
}
