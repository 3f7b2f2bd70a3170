package latency

import (
	"cmp"
	"database/sql"
	"slices"
	"sync"

	"github.com/probemesh/probemesh/pkg/rollup"
)

// changesMax bounds the changed hours that wait for a reader: those of some hours of a large mesh. If more have changed
// since somebody read the recent hours, the next reader reads the file again.
const changesMax = 100_000

// recentHours are the hours of the file that Recent needs, in memory. Only Apply changes hours, and reports each: all
// others are as they were read. A series takes some 9 kB: a thousand hosts with two checks each, seen from ten regions,
// take 180 MB with the answer.
type recentHours struct {
	reading sync.Mutex                // held by the reader, which uses all but changes
	last    int64                     // the present hour
	checks  map[string][]*storedHours // by the check's id, sorted by region; nil: not read yet
	// ahead are the hours after the last one: the clock was stepped back, or an agent's is ahead.
	ahead map[rollup.Key]rollup.Summary

	mu sync.Mutex
	// changes are the hours that were written since the last reading. Nil: nobody has read yet, or there were too many.
	changes map[rollup.Key]rollup.Summary
	closed  int64 // hours before this one were removed
}

// change records what a transaction has changed.
func (r *recentHours) change(f *fold) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = f.closed * hoursOfDay
	if r.changes == nil {
		return
	}
	for k := range f.changed {
		if whole, ok := f.open[k]; ok {
			r.changes[k] = whole
		}
	}
	if len(r.changes) > changesMax {
		r.changes = nil
	}
}

// forget makes the next reader read the file again.
func (r *recentHours) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = nil
}

// takeChanges returns the changes since the last call; nil if not all are known. Hours since the first one are needed.
func (r *recentHours) takeChanges(first int64) map[rollup.Key]rollup.Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.changes
	r.changes = map[rollup.Key]rollup.Summary{}
	if r.closed > first { // only if the clock was stepped back
		return nil
	}
	return out
}

// load reads the rows of the table of hours, sorted; more says that there is one.
func (r *recentHours) load(last int64, rows *sql.Rows, more bool) error {
	all := map[string][]*storedHours{}
	r.last, r.ahead = last, map[rollup.Key]rollup.Summary{}
	var check string
	var one *storedHours
	for ; more; more = rows.Next() {
		var k rollup.Key
		var data sql.RawBytes
		if err := rows.Scan(&k.Check, &k.Region, &k.Hour, &data); err != nil {
			return err
		}
		whole, _, err := rollup.DecodeSummary(data)
		if err != nil {
			return err
		}
		if k.Hour > last {
			r.ahead[k] = whole
			continue
		}
		if one == nil || k.Check != check || k.Region != one.region {
			check, one = k.Check, &storedHours{region: k.Region}
			all[check] = append(all[check], one)
		}
		one.put(r.place(k.Hour), data, whole)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	r.checks = all
	return nil
}

// hours returns the hours of a series, which are empty if it is new.
func (r *recentHours) hours(of series) *storedHours {
	all := r.checks[of.check]
	n, known := slices.BinarySearchFunc(all, of.region, func(h *storedHours, region string) int {
		return cmp.Compare(h.region, region)
	})
	if !known {
		all = slices.Insert(all, n, &storedHours{region: of.region})
		r.checks[of.check] = all
	}
	return all[n]
}

// place returns the place of an hour among the last ones.
func (r *recentHours) place(hour int64) int { return int(hour-r.last) + RecentHours - 1 }

// replace replaces an hour.
func (r *recentHours) replace(k rollup.Key, whole rollup.Summary) {
	switch place := r.place(k.Hour); {
	case place < 0:
	case place >= RecentHours:
		r.ahead[k] = whole
	default:
		r.hours(series{k.Check, k.Region}).replace(place, whole)
	}
}

// advance makes another hour the present one.
func (r *recentHours) advance(last int64) {
	if last == r.last {
		return
	}
	by := int(min(last-r.last, int64(RecentHours)))
	r.last = last
	for check, all := range r.checks {
		for _, h := range all {
			h.shift(by)
		}
		all = slices.DeleteFunc(all, func(h *storedHours) bool { return len(h.data) == 0 })
		if r.checks[check] = all; len(all) == 0 {
			delete(r.checks, check)
		}
	}
	for k, whole := range r.ahead {
		if k.Hour <= last {
			delete(r.ahead, k)
			r.replace(k, whole)
		}
	}
}

// storedHours are the last hours of a series as the file has them.
type storedHours struct {
	region string
	// data are their summaries, encoded, one after the other: decoded ones would take several times as much. ends are
	// where they end. An hour that is not in the file has no bytes.
	data []byte
	ends [RecentHours]uint32
	day  rollup.Summary            // of the last 24 hours
	past *[pastHours]rollup.Digest // answers share it: it is not changed but replaced
}

// firstOfDay is the place of the first of the last 24 hours.
const firstOfDay = RecentHours - hoursOfDay

func (h *storedHours) begin(place int) uint32 {
	if place == 0 {
		return 0
	}
	return h.ends[place-1]
}

func (h *storedHours) summary(place int) (s rollup.Summary) {
	if data := h.data[h.begin(place):h.ends[place]]; len(data) > 0 {
		s, _, _ = rollup.DecodeSummary(data) // without an error: it was decoded or encoded before
	}
	return s
}

// replace replaces the summary of an hour.
func (h *storedHours) replace(place int, whole rollup.Summary) {
	if place < pastHours {
		h.past = clonePast(h.past)
	}
	h.put(place, rollup.EncodeSummary(whole), whole)
}

// clonePast returns a copy that no answer shares.
func clonePast(past *[pastHours]rollup.Digest) *[pastHours]rollup.Digest {
	out := new([pastHours]rollup.Digest)
	if past != nil {
		*out = *past
	}
	return out
}

// put replaces the summary of an hour, which data encodes, and changes the past in place.
func (h *storedHours) put(place int, data []byte, whole rollup.Summary) {
	if place >= firstOfDay {
		h.day.Subtract(h.summary(place))
		h.day.Merge(whole)
	}
	if place < pastHours {
		if h.past == nil {
			h.past = clonePast(nil)
		}
		h.past[place] = whole.Digest()
	}
	begin, end := h.begin(place), h.ends[place]
	h.data = slices.Replace(h.data, int(begin), int(end), data...)
	for n := place; n < RecentHours; n++ {
		h.ends[n] += begin + uint32(len(data)) - end
	}
}

// shift removes the first hours.
func (h *storedHours) shift(by int) {
	for place := firstOfDay; place < min(firstOfDay+by, RecentHours); place++ {
		h.day.Subtract(h.summary(place))
	}
	past := new([pastHours]rollup.Digest)
	if h.past != nil && by < pastHours {
		copy(past[:], h.past[by:])
	}
	for place := max(pastHours, by); place < min(pastHours+by, RecentHours); place++ {
		past[place-by] = h.summary(place).Digest()
	}
	h.past = past
	cut := h.begin(by)
	h.data = slices.Clone(h.data[cut:])
	for n := range h.ends {
		h.ends[n] = max(h.ends[min(n+by, RecentHours-1)], cut) - cut
	}
}

// recent returns what a page shows of a series of which there are parts that are not in the file.
func (h *storedHours) recent(latest Latest, parts []part) Recent {
	r := Recent{Region: h.region, Latest: latest, Hours: Hours{past: h.past}}
	day, filling := h.day, [fillingHours]rollup.Summary{h.summary(pastHours), h.summary(pastHours + 1)}
	changed := false
	for _, p := range parts {
		if p.place >= firstOfDay {
			day = rollup.Sum(day, p.Summary)
		}
		if p.place >= pastHours {
			of := &filling[p.place-pastHours]
			*of = rollup.Sum(*of, p.Summary)
			continue
		}
		if !changed {
			r.Hours.past, changed = clonePast(h.past), true
		}
		r.Hours.past[p.place] = rollup.Sum(h.summary(p.place), p.Summary).Digest()
	}
	for n := range filling {
		r.Hours.filling[n] = filling[n].Digest()
		r.Now = rollup.Sum(r.Now, filling[n])
	}
	r.Day = day.Digest()
	return r
}
