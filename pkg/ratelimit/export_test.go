package ratelimit

// Used returns how many slots are occupied.
func (s *Slots[T]) Used() int { return s.used }
