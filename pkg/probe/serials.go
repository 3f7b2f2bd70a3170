package probe

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Serials remembers since when the servers of zones differ, for all probes of a program: a change needs its time to be
// copied. It is safe for concurrent use. A nil *Serials grants no time.
type Serials struct {
	mu    sync.Mutex
	zones map[string]*zoneHistory
}

const (
	// zonesMax bounds the zones that are remembered.
	zonesMax = 4096
	// changesMax bounds the changes of one zone that are remembered.
	changesMax = 64
)

// zoneHistory is what is known of one zone's changes.
type zoneHistory struct {
	differ time.Time // since when its servers differ; zero if they agree
	due    uint32    // the serial that every server must have by now
	hasDue bool
	fresh  []change // newer serials, oldest first
}

// change is a serial, and when it was first seen.
type change struct {
	serial uint32
	seen   time.Time
}

// serverSerial is the serial that a server has.
type serverSerial struct {
	server string
	serial uint32
}

// NewSerials returns Serials that have seen nothing yet.
func NewSerials() *Serials { return &Serials{zones: map[string]*zoneHistory{}} }

// isOlder compares serials as RFC 1982 does: they are numbers on a circle.
func isOlder(a, b uint32) bool { return a != b && int32(b-a) > 0 }

// compare returns what is not in step, or "" if all servers are, or have still time. lacking says that a server has not
// the zone at all. A zone may change so often that its servers hardly ever agree: each serial has its own time, and a
// server must have the latest one whose time is over.
func (s *Serials) compare(
	key string, all []serverSerial, lacking string, tolerance time.Duration, now time.Time,
) string {
	newest, agree := all[0], lacking == ""
	for _, v := range all[1:] {
		agree = agree && v.serial == newest.serial
		if isOlder(newest.serial, v.serial) {
			newest = v
		}
	}
	if s == nil {
		return behind(all, newest, newest.serial, lacking)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.zones[key]
	if h == nil {
		if len(s.zones) >= zonesMax {
			clear(s.zones) // catalogs have fewer: these are of former ones
		}
		h = &zoneHistory{}
		s.zones[key] = h
	}
	h.note(newest.serial, agree, tolerance, now)
	switch {
	case agree, now.Sub(h.differ) < tolerance:
		return ""
	case !h.hasDue:
		return bounded(lacking)
	}
	return behind(all, newest, h.due, lacking)
}

// note records the newest serial of a zone.
func (h *zoneHistory) note(newest uint32, agree bool, tolerance time.Duration, now time.Time) {
	if agree {
		*h = zoneHistory{due: newest, hasDue: true}
		return
	}
	if h.differ.IsZero() {
		h.differ = now
	}
	latest := h.due
	known := h.hasDue
	if n := len(h.fresh); n > 0 {
		latest, known = h.fresh[n-1].serial, true
	}
	// With too many changes at once the latest ones get their time later, which no server suffers from.
	if (!known || isOlder(latest, newest)) && len(h.fresh) < changesMax {
		h.fresh = append(h.fresh, change{newest, now})
	}
	for len(h.fresh) > 0 && now.Sub(h.fresh[0].seen) >= tolerance {
		h.due, h.hasDue, h.fresh = h.fresh[0].serial, true, h.fresh[1:]
	}
}

// behind names the servers that have not the serial which is due.
func behind(all []serverSerial, newest serverSerial, due uint32, lacking string) string {
	var parts []string
	if lacking != "" {
		parts = append(parts, bounded(lacking))
	}
	for _, v := range all {
		if isOlder(v.serial, due) {
			parts = append(parts, fmt.Sprintf("serial %d at %s", v.serial, bounded(v.server)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("%s, and %d at %s", strings.Join(parts, ", "), newest.serial, bounded(newest.server))
}
