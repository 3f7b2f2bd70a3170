package console

import (
	"slices"
	"strconv"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
)

// changeRow is a change of a check's verdict, or of a host's status.
type changeRow struct {
	web.Look
	Host, Check, Sentence, Rule, URL string
	At                               time.Time
	Was, Verdict                     string
}

const (
	// changesWithin is how far back the page of a host or a check lists changes, changesMax how many it lists, and
	// changesRead how many transitions are read for that, for marks, and for what failed together.
	changesWithin = 30 * 24 * time.Hour
	changesMax    = 50
	changesRead   = 1000
	// latestWithin is how far back the overview lists changes, latestMax how many it lists, and latestRead how many
	// transitions are read for that.
	latestWithin = 48 * time.Hour
	latestMax    = 12
	latestRead   = 10 * latestMax
)

// changesOf returns the newest changes of a host, or of one of its checks, up to the moment that is shown, the latest
// first.
func changesOf(s *console, r request, host, check string) (out []changeRow, err error) {
	all, err := transitionsOf(s, r, host, check, upToMoment(r, changesWithin), changesRead)
	for _, t := range slices.Backward(all[max(0, len(all)-changesMax):]) {
		out = append(out, newChangeRow(r, t))
	}
	return out, err
}

// latestChanges returns the newest changes of all hosts up to the moment that is shown, the latest first.
func latestChanges(s *console, r request) (out []changeRow, err error) {
	p := upToMoment(r, latestWithin)
	all, err := s.config.Source.TransitionsIn(r.Context(), "", p.since, p.until, latestRead)
	for _, t := range slices.Backward(all) {
		if t.Was != mesh.Pending && len(out) < latestMax { // a check's first success is no news
			out = append(out, newChangeRow(r, t))
		}
	}
	return out, err
}

func newChangeRow(r request, t mesh.Transition) changeRow {
	row := changeRow{
		Host: t.Host, Check: t.Check, Sentence: t.Sentence, URL: transitionPath(t), At: t.Published,
		Rule: quorum.VerdictInWords(t.Verdict, t.Rule, r.catalog.Rule),
	}
	row.Look, row.Was, row.Verdict = describeChange(t)
	return row
}

// describeChange returns how the result of a transition appears, and the verdict or, for a host, the status before and
// after it.
func describeChange(t mesh.Transition) (look web.Look, before, after string) {
	if t.Check == "" {
		return web.StatusLook(t.To), string(t.From), string(t.To)
	}
	return web.VerdictLook(t.Verdict), string(t.Was), string(t.Verdict)
}

// transitionPath is the address of the page that explains a transition.
func transitionPath(t mesh.Transition) string {
	return "/transitions/" + strconv.FormatUint(t.Sequence, 10) + "#" + t.ID
}

func changeTable(changes []changeRow) table {
	t := table{name: "changes", columns: []string{"at", "host", "check", "was", "verdict", "sentence", "rule", "url"}}
	for _, c := range changes {
		t.rows = append(t.rows, []any{c.At, c.Host, c.Check, c.Was, c.Verdict, c.Sentence, c.Rule, c.URL})
	}
	return t
}

// period is a part of mesh time. The zero time as its end is the present.
type period struct{ since, until time.Time }

// upToMoment returns the period of a span that ends with the moment that is shown.
func upToMoment(r request, span time.Duration) period {
	at := r.snapshot.At.Add(r.snapshot.Offset)
	p := period{since: at.Add(-span)}
	if !r.moment.IsZero() {
		p.until = at
	}
	return p
}

// transitionsOf lists the newest transitions of a host of the moment that is shown, or of one of its checks, oldest
// first. The host and the check are named as they were then, and the transitions name them as they are called now.
func transitionsOf(s *console, r request, host, check string, p period, limit int) ([]mesh.Transition, error) {
	h := r.catalog.Host(mesh.Key(host))
	if h == nil {
		return nil, nil
	}
	key, checkID := h.Key(), ""
	if now := r.present.HostByID(h.Identity()); now != nil {
		key = now.Key()
	}
	if c := h.Check(check); c != nil {
		checkID = h.IdentityOf(c)
	}
	all, err := s.config.Source.TransitionsIn(r.Context(), key, p.since, p.until, limit)
	return slices.DeleteFunc(slices.Clone(all), func(t mesh.Transition) bool {
		other := check != "" && t.Check != check
		if check != "" && t.CheckID != "" {
			other = t.CheckID != checkID
		}
		return other || t.HostID != "" && t.HostID != h.Identity()
	}), err
}
