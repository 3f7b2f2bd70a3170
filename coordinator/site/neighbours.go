package site

import (
	"context"
	"slices"

	"github.com/probemesh/probemesh/pkg/archive"
)

// neighbours returns the entries before and after one in the order of the archive; nil where there is none.
func (p archivePages) neighbours(ctx context.Context, of archive.Entry) (older, newer *entryView, err error) {
	a, month := p.archive(), archive.MonthOf(of.At)
	months, err := a.Months(ctx)
	if err != nil {
		return nil, nil, err
	}
	var around []archive.Entry // newest first
	before, after := archive.Neighbours(months, month)
	for _, m := range []archive.Month{after, month, before} {
		if m == (archive.Month{}) {
			continue
		}
		entries, err := a.Between(ctx, m.Begin(), m.End())
		if err != nil {
			return nil, nil, err
		}
		around = append(around, entries...)
	}
	i := slices.IndexFunc(around, func(e archive.Entry) bool { return e.Kind == of.Kind && e.ID == of.ID })
	state := p.site.view.State()
	if i > 0 {
		v := newEntryView(state, around[i-1])
		newer = &v
	}
	if i >= 0 && i+1 < len(around) {
		v := newEntryView(state, around[i+1])
		older = &v
	}
	return older, newer, nil
}
