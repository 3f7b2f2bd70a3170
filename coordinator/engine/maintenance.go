package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// coverage is the layer of statuses above the judge's verdicts: it decides what verdicts mean for readers while a
// maintenance covers some checks. The judge does not know of it and stays a replay of the stream; the coverage at a
// time follows from the ledger and from that time, so that a restart and a look at the past decide alike.
//
// A covered check is published as it was measured, and marked. Its host's status does not follow it. When the
// maintenance ends, what still fails is published again: for readers it begins then.
type coverage struct {
	view    *view.View
	windows []covered // of the time around at, and of the hours after it
	changed uint64    // view.Applied when they were read
	until   time.Time // they are known up to this wall time

	at time.Time // wall time of the last step
	// published has the status of each host that was covered at the last step, by its id: it may differ from the
	// judge's.
	published map[string]mesh.Status
}

// covered is a time during which a maintenance covers its targets, by the wall clock.
type covered struct {
	maintenance.Window
	of *maintenance.Maintenance
}

func (w covered) at(t time.Time) bool { return !t.Before(w.Start) && t.Before(w.End) }

// between reports whether a moment is after one time and not after another.
func between(after, t, until time.Time) bool { return t.After(after) && !t.After(until) }

const (
	windowsAhead = 24 * time.Hour
	// stepBackMax is how far the wall clock is taken for steady: mesh time and its offset are corrected by less.
	stepBackMax = 5 * time.Second
)

func newCoverage(v *view.View) *coverage {
	return &coverage{view: v, published: map[string]mesh.Status{}}
}

// load reads the maintenances if they may have changed, or if the known windows end.
func (c *coverage) load(ctx context.Context, wall time.Time) error {
	changed := c.view.Applied()
	if !c.until.IsZero() && changed == c.changed && wall.Before(c.until) {
		return nil
	}
	from, until := wall.Add(-time.Second), wall.Add(windowsAhead)
	if !c.at.IsZero() && c.at.Before(from) {
		from = c.at // what began or ended while nobody judged
	}
	all, err := c.view.Maintenances().List(ctx, from, until, view.MaintenancesMax)
	if err != nil {
		return err
	}
	c.windows, c.changed, c.until = nil, changed, until
	for _, m := range all {
		for _, w := range m.Windows(from, until) {
			c.windows = append(c.windows, covered{w, m})
		}
	}
	return nil
}

// active returns the windows at a wall time.
func (c *coverage) active(wall time.Time) (out []covered) {
	for _, w := range c.windows {
		if w.at(wall) {
			out = append(out, w)
		}
	}
	return out
}

// covering returns the id of the occurrence that covers a check, by the ids of its host and its own; empty if none
// does.
func covering(windows []covered, host, check string) string {
	i := slices.IndexFunc(windows, func(w covered) bool { return w.of.Covers(host, check) })
	if i < 0 {
		return ""
	}
	return windows[i].Occurrence
}

// concerning returns the windows that cover the host or one of its checks.
func concerning(windows []covered, host string) (out []covered) {
	for _, w := range windows {
		if w.of.Concerns(host) {
			out = append(out, w)
		}
	}
	return out
}

// restore reads what was published before the start. It was decided up to the wall time.
func (c *coverage) restore(ctx context.Context, config *catalog.Catalog, at time.Time) error {
	statuses, err := c.view.Periods().Statuses(ctx)
	if err != nil {
		return err
	}
	c.at, c.until = at, time.Time{}
	if err := c.load(ctx, at); err != nil {
		return err
	}
	for i := range config.Hosts {
		h := &config.Hosts[i]
		s := statuses[h.Key()]
		if s == mesh.UnderMaintenance || s != "" && len(concerning(c.active(at), h.Identity())) > 0 {
			c.published[h.Identity()] = s
		}
	}
	return nil
}

// step returns the transitions to publish after a step of the judge at a mesh time, from those that it decided: with
// the statuses that readers see, and with those that a maintenance causes which began or ended.
func (c *coverage) step(
	ctx context.Context, j *judge.Judge, config *catalog.Catalog, decided []mesh.Transition, at time.Time,
	offset time.Duration,
) ([]mesh.Transition, error) {
	wall := at.Add(-offset)
	if back := c.at.Sub(wall); back > 0 && back < stepBackMax {
		wall = c.at
	}
	if err := c.load(ctx, wall); err != nil {
		return decided, err
	}
	before := c.at
	c.at = wall
	active := c.active(wall)
	var ended []covered
	for _, w := range c.windows {
		if between(before, w.End, wall) && !before.IsZero() {
			ended = append(ended, w)
		}
	}
	if len(active)+len(ended)+len(c.published) == 0 {
		return decided, nil
	}
	out := slices.Clone(decided)
	for i := range out {
		c.rewrite(j, active, &out[i])
	}
	for i := range config.Hosts {
		id := config.Hosts[i].Identity()
		_, was := c.published[id]
		now, over := concerning(active, id), concerning(ended, id)
		if !was && len(now)+len(over) == 0 {
			continue
		}
		out = append(out, c.settle(j, id, active, over, began(now, over, before, wall).Add(offset))...)
		if len(now) == 0 {
			delete(c.published, id)
		}
	}
	return out, nil
}

// rewrite gives a transition of the judge the statuses that readers see. A covered check changes none.
func (c *coverage) rewrite(j *judge.Judge, active []covered, t *mesh.Transition) {
	if t.Aside { // it changes no status that readers see
		t.Maintenance = covering(active, t.HostID, t.CheckID)
		return
	}
	published, ok := c.published[t.HostID]
	if len(concerning(active, t.HostID)) == 0 && !ok {
		return
	}
	if !ok {
		published = t.From
	}
	t.From, t.To = published, published
	if t.Check != "" {
		t.Maintenance = covering(active, t.HostID, t.CheckID)
	}
	if t.Maintenance == "" {
		t.To, _ = j.Status(t.HostID, coveredBy(active, t.HostID))
	}
	c.published[t.HostID] = t.To
}

func coveredBy(windows []covered, host string) func(check string) bool {
	return func(check string) bool { return covering(windows, host, check) != "" }
}

// settle returns the transitions by which a host's status becomes what it is with the active windows: those of checks
// that still fail and that the windows which are over covered, else one of the host alone.
func (c *coverage) settle(
	j *judge.Judge, id string, active, over []covered, began time.Time,
) (out []mesh.Transition) {
	status, ok := j.Status(id, coveredBy(active, id))
	if !ok {
		delete(c.published, id)
		return nil
	}
	published, ok := c.published[id]
	if !ok { // the judge's is published
		published, _ = j.Status(id, func(string) bool { return false })
	}
	add := func(t mesh.Transition) {
		if !t.Aside {
			t.From, t.To = published, status
			published = status
		}
		out = append(out, t)
	}
	if len(over) > 0 {
		for _, t := range j.Failures(id, began) {
			if covering(over, id, t.CheckID) != "" && covering(active, id, t.CheckID) == "" {
				add(t)
			}
		}
	}
	if published != status {
		t := j.Restatus(id, began)
		t.ID, t.Sentence = t.ID+"0", sentence.MaintenanceOver
		if status == mesh.UnderMaintenance {
			t.Sentence = sentence.MaintenanceBegan
		}
		add(t)
	}
	c.published[id] = status
	return out
}

// began returns when the latest of a host's windows began or ended, since one wall time up to another.
func began(now, over []covered, before, wall time.Time) time.Time {
	var latest time.Time
	for _, w := range now {
		if between(before, w.Start, wall) && w.Start.After(latest) {
			latest = w.Start
		}
	}
	for _, w := range over {
		if w.End.After(latest) {
			latest = w.End
		}
	}
	if latest.IsZero() {
		return wall
	}
	return latest
}

// overrunBefore is how long before the end of a window it is decided whether that is extended by itself: the judge
// steps every two seconds.
const overrunBefore = 5 * time.Second

// overruns returns events that extend the windows which are about to end while what they cover still fails, at a mesh
// time. A replay makes the same events with the same ids, which the ledger stores once.
func (c *coverage) overruns(j *judge.Judge, at time.Time, offset time.Duration) (out []ledger.Event) {
	wall := at.Add(-offset)
	for _, w := range c.active(wall) {
		if w.of.Overrun == 0 || w.End.Sub(wall) > overrunBefore || !c.failing(j, w) {
			continue
		}
		if until, ok := w.of.Overran(w.Window, wall); ok {
			out = append(out, ledger.MaintenanceEvent{
				Event: fmt.Sprintf("auto-%s-%d", w.Occurrence, w.End.Unix()), ID: w.of.ID, Action: maintenance.Extend,
				Occurrence: w.Planned, Until: until, Auto: true, Mesh: at, Offset: offset,
			})
		}
	}
	return out
}

// failing reports whether something that a window covers fails.
func (c *coverage) failing(j *judge.Judge, w covered) bool {
	for _, target := range w.of.Targets {
		for _, t := range j.Failures(target.Host, w.End) {
			if w.of.Covers(target.Host, t.CheckID) {
				return true
			}
		}
	}
	return false
}

// describe writes into a snapshot, whose times are mesh time, what is under maintenance.
func (c *coverage) describe(
	ctx context.Context, j *judge.Judge, config *catalog.Catalog, s *mesh.Snapshot, offset time.Duration,
) error {
	wall := s.At.Add(-offset)
	if wall.Before(c.at) {
		wall = c.at
	}
	if err := c.load(ctx, wall); err != nil {
		return err
	}
	active := c.active(wall)
	if len(active) == 0 {
		return nil
	}
	for i := range s.Hosts {
		state := &s.Hosts[i]
		host := config.Host(mesh.Key(state.Name))
		if host == nil {
			continue
		}
		windows := concerning(active, host.Identity())
		if len(windows) == 0 {
			continue
		}
		for k := range state.Checks {
			if check := host.Check(state.Checks[k].Name); check != nil {
				state.Checks[k].Maintenance = covering(active, host.Identity(), host.IdentityOf(check))
			}
		}
		status, ok := j.Status(host.Identity(), coveredBy(active, host.Identity()))
		if ok && status == mesh.UnderMaintenance {
			start, end := windows[0].Start, windows[0].End
			for _, w := range windows {
				if w.End.After(end) {
					end = w.End
				}
			}
			state.Since = start.Add(offset)
			state.Sentence = fmt.Sprintf("Under maintenance until %s.", end.UTC().Format("2 Jan 2006 15:04 UTC"))
		}
		if ok {
			state.Status = status
		}
	}
	return nil
}

// CatchUp waits until readers see what was written to the ledger just before, as far as it changes statuses: the judge
// steps on, and its snapshot is shown. It gives up after a second, since the next tick does the same.
func CatchUp(ctx context.Context, e *Engine) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	sequence, err := e.mark(ctx)
	if err != nil {
		return // the ticks report it
	}
	for {
		changed := e.Changed()
		if _, s := e.Current(); s.Sequence >= sequence {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}
