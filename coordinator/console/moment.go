package console

import (
	"context"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Past shows moments of the last two days as they were. Its errors have a kind of package errkind.
type Past interface {
	// At returns the catalog and the snapshot of the moment at which the wall clock showed the time, both immutable.
	At(ctx context.Context, at time.Time) (*catalog.Catalog, *mesh.Snapshot, error)
	// Trace returns what led to a transition of a check, in the order in which the judge met it.
	Trace(ctx context.Context, t mesh.Transition) ([]judge.Event, error)
	// Reach returns the earliest time that At can show.
	Reach(ctx context.Context) (time.Time, error)
}

// showMoment puts the moment of ?at= in place of the present, if the request names one.
func (s *console) showMoment(r *request) error {
	text := r.URL.Query().Get("at")
	if text == "" || s.config.Past == nil {
		return nil
	}
	at, err := command.ParseTime(text, time.Now())
	if err != nil {
		return web.Errorf(http.StatusBadRequest, "The time %v.", err)
	}
	if _, err := time.Parse(time.RFC3339, text); err != nil {
		at = at.Truncate(time.Second) // links have the same moment
	}
	c, snapshot, err := s.config.Past.At(r.Context(), at)
	switch kind := errkind.Of(err); {
	case err == nil:
	case kind == errkind.Invalid:
		return web.Errorf(http.StatusBadRequest, "%v", err)
	case kind == errkind.NotFound:
		return web.Errorf(http.StatusNotFound, "%v", err)
	case kind == errkind.Unavailable:
		return web.Errorf(http.StatusServiceUnavailable, "%v", err)
	default:
		return err
	}
	r.moment, r.catalog, r.snapshot = at, c, snapshot
	nameMoment(r)
	return nil
}

// nameMoment puts the moment that is shown in the place of what the address asked for, such as "10m": all that the page
// leads to is of the same moment, however long it is read.
func nameMoment(r *request) {
	query, address := r.URL.Query(), *r.URL
	query.Set("at", momentText(r.moment))
	address.RawQuery = query.Encode()
	r.Request = r.WithContext(r.Context()) // a copy
	r.URL = &address
}

// Large because every page that shows the past shows all of it: momentView is the field in which a moment is typed, the
// steps beside it, and the line of the last two days with its changes.
type momentView struct {
	Path   string
	Query  url.Values // what else the address asks for
	At     time.Time  // zero: the present
	Text   string     // of the field
	Reach  time.Time  // how far back the past reaches; zero if that is not known
	Steps  []web.Link
	Latest string // the address of the present
	Failed bool   // the moment that was asked for cannot be shown
	Width  int
	Cursor int
	Hours  []momentHour
	Marks  []momentMark
	More   int  // changes that are not drawn
	Cut    bool // there may be earlier changes that were not read
}

type momentHour struct {
	X    int
	Text string
}

// momentMark is a change on the timeline.
type momentMark struct {
	web.Look
	X, Y        int
	URL, Title  string
	Explanation string // the address of the page that explains it
}

const (
	timelineWidth = 1200 // units of the drawing
	timelineLabel = 80   // the width of an hour's name
	timelineSpan  = 48 * time.Hour
	// timelineMarks bounds the changes that are drawn: more of them cover one another.
	timelineMarks = 300
	// timelineRead bounds the transitions that are read. About half of those of all hosts are of statuses, and not drawn.
	timelineRead = 2*timelineMarks + 1
	timelineRows = 3 // marks of the same minute stand above one another
)

// newMomentView describes the moment that a page shows, with marks for the changes of a host or of one of its checks,
// or of all hosts for "".
func (s *console) newMomentView(r request, host, check string) (*momentView, error) {
	if s.config.Past == nil {
		return nil, nil
	}
	_, present := s.config.Source.Current()
	now := present.At
	shown := now
	if !r.moment.IsZero() {
		shown = r.moment
	}
	v := newMomentField(s, r, shown, now)
	begin := now.Add(-timelineSpan)
	place := func(at time.Time) int { return int(timelineWidth * int64(at.Sub(begin)) / int64(timelineSpan)) }
	v.Cursor = min(max(place(shown), 0), timelineWidth-1)
	v.Hours = hours(begin, now, place)
	changes, err := marked(s, r, host, check, period{since: begin.Add(present.Offset)})
	if err != nil {
		return nil, err
	}
	if host == "" { // a check's first success is no news, and a status follows from verdicts
		v.Cut = len(changes) == timelineRead
		changes = slices.DeleteFunc(slices.Clone(changes), func(t mesh.Transition) bool {
			return t.Check == "" || t.Was == mesh.Pending || t.Published.Before(v.Reach)
		})
	}
	v.More = max(0, len(changes)-timelineMarks)
	v.Marks = v.marks(changes[v.More:], place, now)
	return v, nil
}

// marked returns the transitions of which a timeline may have marks.
func marked(s *console, r request, host, check string, p period) ([]mesh.Transition, error) {
	if host == "" {
		return s.config.Source.TransitionsIn(r.Context(), "", p.since, p.until, timelineRead)
	}
	return transitionsOf(s, r, host, check, p, timelineRead)
}

// momentText writes a moment for an address and for the field.
func momentText(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// newMomentField describes the field alone, with the steps from the moment that is shown.
func newMomentField(s *console, r request, shown, now time.Time) *momentView {
	path, here := presentPath(r)
	v := &momentView{Path: path, Query: r.URL.Query(), At: r.moment, Width: timelineWidth, Latest: "/"}
	for _, name := range []string{"at", "format", "page"} {
		v.Query.Del(name)
	}
	if here {
		v.Latest = addressOf(path, v.Query)
	}
	v.Reach, _ = s.config.Past.Reach(r.Context()) // the line is drawn without it
	if v.Reach.After(now) {                       // the wall clock was stepped back since
		v.Reach = time.Time{}
	}
	if !v.Reach.IsZero() {
		v.Reach = v.Reach.Truncate(time.Second).Add(time.Second) // a whole second that can be typed and shown
	}
	if v.Text = momentText(r.moment); r.moment.IsZero() {
		v.Text, shown = "", shown.Truncate(time.Second)
	}
	for _, step := range []struct {
		name string
		by   time.Duration
	}{
		{"1 hour earlier", -time.Hour}, {"5 minutes earlier", -5 * time.Minute}, {"1 minute earlier", -time.Minute},
		{"10 seconds earlier", -10 * time.Second}, {"10 seconds later", 10 * time.Second},
		{"1 minute later", time.Minute}, {"5 minutes later", 5 * time.Minute}, {"1 hour later", time.Hour},
	} {
		if to := shown.Add(step.by); to.Before(now) && to.After(v.Reach) {
			v.Steps = append(v.Steps, web.Link{Name: step.name, URL: v.address(to)})
		}
	}
	return v
}

// hours returns the ticks of the line, with the names of those that have room for them.
func hours(begin, now time.Time, place func(time.Time) int) (out []momentHour) {
	for at := begin.Truncate(6 * time.Hour).Add(6 * time.Hour); at.Before(now); at = at.Add(6 * time.Hour) {
		hour := momentHour{X: place(at)}
		if hour.X >= timelineLabel/2 && hour.X <= timelineWidth-timelineLabel/2 { // the drawing ends beside it
			hour.Text = at.UTC().Format("2 Jan 15:04")
		}
		out = append(out, hour)
	}
	return out
}

// addressOf returns the address with a path and a query.
func addressOf(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// Earliest is the address of the earliest moment.
func (v *momentView) Earliest() string { return v.address(v.Reach) }

func (v *momentView) address(at time.Time) string {
	query := maps.Clone(v.Query)
	query.Set("at", momentText(at))
	return addressOf(v.Path, query)
}

// marks draws the changes of verdicts, the newest first, so that the keyboard reaches the latest change first. Those of
// the same place stand below one another. Where they are too many, the earliest are not drawn: what fails now counts.
// One later than the present was published before the wall clock was stepped back: no moment shows it.
func (v *momentView) marks(changes []mesh.Transition, place func(time.Time) int, now time.Time) []momentMark {
	var out []momentMark
	rows := map[int]int{}
	for _, t := range slices.Backward(changes) {
		look, _, after := describeChange(t)
		what := t.Host + " " + t.Check + " " + after
		if t.Check == "" {
			what = t.Host + ": " + look.Word
		}
		x := min(place(t.Published), timelineWidth)
		row := rows[x/8]
		rows[x/8]++
		if row >= timelineRows {
			v.More++
			continue
		}
		// Whole seconds later: the permanent link names the first one in which the change is there.
		at := t.Published.Truncate(time.Second).Add(time.Second)
		mark := momentMark{
			Look: look, X: min(max(x, 4), timelineWidth-4), Y: 12 + 13*row, URL: v.address(at),
			Title:       t.Published.UTC().Format("2 Jan 15:04:05 UTC") + ": " + what,
			Explanation: transitionPath(t),
		}
		if at.Before(v.Reach) || t.Published.After(now) {
			mark.URL = mark.Explanation // that moment cannot be shown
		}
		out = append(out, mark)
	}
	return out
}

// momentLinks are the links to pages that can show a moment.
var momentLinks = regexp.MustCompile(
	`href="/(?:(?:hosts|regions|pairs)/(?:&#|[^"?#])+(?:\?with=[^"&]+)?|matrix(?:\?(?:&#|[^"#])*)?|agents|catalog)?"`)

// namesMoment matches the links that name one by themselves.
var namesMoment = regexp.MustCompile(`[?;]at=`)

// atMoment makes the links of a page of the past lead to the same moment. Those to the present are above it.
func atMoment(content template.HTML, at time.Time) template.HTML {
	query := "at=" + url.QueryEscape(momentText(at))
	return template.HTML(momentLinks.ReplaceAllStringFunc(string(content), func(link string) string {
		before := "?"
		if namesMoment.MatchString(link) {
			return link
		}
		if strings.Contains(link, "?") {
			before = "&amp;"
		}
		return strings.TrimSuffix(link, `"`) + before + query + `"`
	}))
}
