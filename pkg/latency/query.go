package latency

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/rollup"
)

// Step is how long a point of a series is.
type Step string

// The steps. Days are those of UTC.
const (
	Hour Step = "hour"
	Day  Step = "day"
)

// hours is how many hours a step has.
func (s Step) hours() int64 {
	if s == Day {
		return hoursOfDay
	}
	return 1
}

// Duration is how long the step is.
func (s Step) Duration() time.Duration { return time.Duration(s.hours()) * time.Hour }

// Query selects points: those that begin before To, and end after From.
type Query struct {
	Check    string // internal id
	Region   string // "": all
	By       Step
	From, To time.Time // by the wall clock
}

// Series is a check as the vantages of a region saw it.
type Series struct {
	Check, Region string
	Points        []Point // oldest first; one without any observation is missing
}

// Point is what was observed in an hour or a day, or in a step of minutes.
type Point struct {
	At time.Time // its beginning, by the wall clock
	rollup.Digest
}

// points collects the points of one query.
type points struct {
	query  Query
	first  int64                    // point
	end    int64                    // the first point that is not wanted
	closed map[string][]Point       // by region, in order
	open   map[place]rollup.Summary // parts of which may be merged
}

type place struct {
	region string
	point  int64
}

// Series returns the points of a check by region, sorted by region.
func (s *Store) Series(ctx context.Context, q Query) ([]Series, error) {
	step := int64(q.By.Duration() / time.Second)
	p := &points{
		query: q, first: max(q.From.Unix(), 0) / step, end: (max(q.To.Unix(), 0) + step - 1) / step,
		closed: map[string][]Point{}, open: map[place]rollup.Summary{},
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.closedPoints(ctx, p); err != nil {
		return nil, fmt.Errorf("read the latency of a check: %w", err)
	}
	if err := s.openPoints(ctx, p); err != nil {
		return nil, fmt.Errorf("read the latency of a check: %w", err)
	}
	return p.series(), nil
}

func (p *points) wants(region string) bool { return p.query.Region == "" || region == p.query.Region }

// closedPoints reads the days to which nothing is added any more.
func (s *Store) closedPoints(ctx context.Context, p *points) error {
	perDay := hoursOfDay / p.query.By.hours()
	column := `data`
	if p.query.By == Hour {
		column = `hours`
	}
	rows, err := s.db.QueryContext(ctx, `SELECT region, day, `+column+` FROM days
		WHERE check_id = ? AND (? = '' OR region = ?) AND day BETWEEN ? AND ? ORDER BY region, day`,
		p.query.Check, p.query.Region, p.query.Region, p.first/perDay, p.end/perDay)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var region string
		var day int64
		var data []byte
		if err := rows.Scan(&region, &day, &data); err != nil {
			return err
		}
		if err := p.addDay(region, day, data); err != nil {
			return err
		}
	}
	return rows.Err()
}

// pointsHint bounds the memory that is set aside for the points of a region: those of a year of hours.
const pointsHint = 366 * hoursOfDay

func (p *points) addDay(region string, day int64, data []byte) error {
	all, known := p.closed[region]
	if !known {
		all = make([]Point, 0, min(p.end-p.first, pointsHint))
	}
	if p.query.By == Day {
		whole, _, err := rollup.DecodeSummary(data)
		p.closed[region] = p.appendWanted(all, day, whole.Digest())
		return err
	}
	digests, err := rollup.DecodeDay(data)
	for n := range digests {
		all = p.appendWanted(all, day*hoursOfDay+int64(n), digests[n])
	}
	p.closed[region] = all
	return err
}

func (p *points) appendWanted(all []Point, point int64, d rollup.Digest) []Point {
	if point < p.first || point >= p.end || d.Outcomes.Total() == 0 {
		return all
	}
	return append(all, Point{p.at(point), d})
}

func (p *points) at(point int64) time.Time { return time.Unix(point*p.query.By.hours()*3600, 0).UTC() }

// openPoints reads the hours of the last days, and what is not in the file.
func (s *Store) openPoints(ctx context.Context, p *points) error {
	add := func(k rollup.Key, part rollup.Summary) {
		at := place{k.Region, k.Hour / p.query.By.hours()}
		if at.point < p.first || at.point >= p.end || !p.wants(k.Region) {
			return
		}
		whole := p.open[at]
		whole.Merge(part)
		p.open[at] = whole
	}
	perPoint := p.query.By.hours()
	rows, err := s.db.QueryContext(ctx, `SELECT region, hour, data FROM hours
		WHERE check_id = ? AND hour >= ? AND hour < ?`, p.query.Check, p.first*perPoint, p.end*perPoint)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		key := rollup.Key{Check: p.query.Check}
		var data []byte
		if err := rows.Scan(&key.Region, &key.Hour, &data); err != nil {
			return err
		}
		part, _, err := rollup.DecodeSummary(data)
		if err != nil {
			return err
		}
		add(key, part)
	}
	s.hours(p.query.Check, add)
	return rows.Err()
}

func (p *points) series() []Series {
	byTime := func(a, b Point) int { return a.At.Compare(b.At) }
	added := map[string][]Point{}
	for at, whole := range p.open {
		one := Point{p.at(at.point), whole.Digest()}
		closed := p.closed[at.region]
		if n, found := slices.BinarySearchFunc(closed, one, byTime); found {
			closed[n].Digest = closed[n].Join(one.Digest)
		} else {
			added[at.region] = p.appendWanted(added[at.region], at.point, one.Digest)
		}
	}
	for region, more := range added {
		p.closed[region] = append(p.closed[region], more...)
	}
	out := []Series{}
	for region, all := range p.closed {
		if len(all) == 0 {
			continue
		}
		if len(added[region]) > 0 {
			slices.SortFunc(all, byTime)
		}
		out = append(out, Series{p.query.Check, region, all})
	}
	slices.SortFunc(out, func(a, b Series) int { return cmp.Compare(a.Region, b.Region) })
	return out
}

// Gap is a time in which nothing was observed, by the wall clock.
type Gap struct{ From, To time.Time }

// Gaps returns when nothing was observed during a period.
func (s *Store) Gaps(ctx context.Context, from, to time.Time) ([]Gap, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT since, until FROM gaps WHERE until > ? AND since < ?
		ORDER BY until, since`, from.UnixNano(), to.UnixNano())
	if err != nil {
		return nil, fmt.Errorf("read the gaps of the observations: %w", err)
	}
	defer rows.Close()
	out := []Gap{}
	for rows.Next() {
		var since, until int64
		if err := rows.Scan(&since, &until); err != nil {
			return nil, fmt.Errorf("read the gaps of the observations: %w", err)
		}
		out = append(out, Gap{time.Unix(0, since).UTC(), time.Unix(0, until).UTC()})
	}
	return out, rows.Err()
}
