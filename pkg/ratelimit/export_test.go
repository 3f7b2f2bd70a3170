package ratelimit

// Taken is how many places are taken.
func (p *Places[G]) Taken() int { return p.taken }
