package catalogs

import (
	"os"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const (
	// settleFor is how long a file that is written in place must be unchanged: its first half may be a valid catalog.
	settleFor = 5 * time.Second
	// holdFor is how much longer a change waits that would end the watch of something that is down: a half-written file
	// must not resolve an incident.
	holdFor = 30 * time.Second
)

// reading is a file's text, or why it could not be read.
type reading struct {
	text, failure string
	info          os.FileInfo // which file the text is from; nil after a failure
}

// same reports whether both readings have the same result.
func (r reading) same(other reading) bool { return r.text == other.text && r.failure == other.failure }

// fileChange is a text of the file, and how it got there.
type fileChange struct {
	reading  reading
	since    time.Time // when the text was first read
	replaced bool      // another file took the place of the one before, so the text is complete
}

// next returns the change after another reading.
func (c fileChange) next(r reading, now time.Time) fileChange {
	// A file that appears where none could be read may be in the middle of being written.
	replaced := c.reading.info != nil && r.info != nil && !os.SameFile(c.reading.info, r.info)
	if c.reading.same(r) {
		return fileChange{r, c.since, c.replaced || replaced}
	}
	return fileChange{r, now, replaced}
}

// settled returns when the text counts as complete.
func (c fileChange) settled() time.Time {
	if c.replaced {
		return c.since
	}
	return c.since.Add(settleFor)
}

// due returns when a change that loses something that is down is put in force, without a confirmation.
func (c fileChange) due() time.Time { return c.settled().Add(holdFor) }

// lostOutages names what is down and would not be watched any more under the next catalog, or not in public: hosts,
// and checks of hosts that stay. What is renamed is still watched.
func lostOutages(before, next *catalog.Catalog, s *mesh.Snapshot) (lost []string) {
	if s == nil {
		return nil
	}
	pairs := catalog.Pair(before, next)
	for i := range s.Hosts {
		h := &s.Hosts[i]
		was := before.Host(mesh.Key(h.Name))
		if was == nil {
			continue
		}
		is := pairs.Host(was)
		for k := range h.Checks {
			c := &h.Checks[k]
			if c.Verdict != mesh.Down && c.Verdict != mesh.Partial {
				continue
			}
			if is == nil || was.Public && !is.Public {
				lost = append(lost, h.Name)
				break
			}
			asked := was.Check(c.Name)
			if asks := checkAfter(pairs, was, is, asked); asks == nil || was.Shows(asked) && !is.Shows(asks) {
				lost = append(lost, h.Name+" "+c.Name)
			}
		}
	}
	return lost
}

// checkAfter returns what a check of the catalog before is in the next one; nil if it is gone.
func checkAfter(pairs *catalog.Pairing, was, is *catalog.Host, asked *catalog.Check) *catalog.Check {
	if asked == nil {
		return nil
	}
	return pairs.Check(was, is, asked)
}
