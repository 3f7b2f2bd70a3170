package ratelimit

// Used is how many places are taken.
func (p *Places[T]) Used() int { return p.used }
