package ratelimit

// Used returns how many slots are occupied.
func (p *Slots[T]) Used() int { return p.used }
