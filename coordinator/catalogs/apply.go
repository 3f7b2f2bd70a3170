package catalogs

import (
	"context"
	"fmt"
	"strings"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
)

// ErrNeedsPrune means that a catalog lacks hosts of the one in force, which Apply removes only with prune.
var ErrNeedsPrune = errkind.New(errkind.Conflict,
	"the catalog no longer has hosts that are watched: add --prune to stop watching them")

// Apply puts a catalog in force and returns what that changes; source names who applied it. With a catalog file,
// Apply is refused: the file would replace the catalog at the next start.
func (s *Store) Apply(ctx context.Context, c *catalog.Catalog, source string, prune bool) ([]catalog.Change, error) {
	if s.config.File != "" {
		return nil, errkind.New(errkind.Conflict,
			"this coordinator follows the file "+s.config.File+": edit the file, and it is put in force")
	}
	if _, failures := s.secrets.read(c); len(failures) > 0 {
		return nil, errkind.New(errkind.Invalid, "the coordinator cannot read a secret: "+strings.Join(failures, "; "))
	}
	c = s.secrets.withDigests(c)
	s.changing.Lock()
	defer s.changing.Unlock()
	before := s.Current()
	c, changes, notes, err := identify(before, c)
	if err != nil {
		return nil, err
	}
	var gone []string
	for _, change := range changes {
		if change.Gone && change.Check == "" {
			gone = append(gone, change.Host)
		}
	}
	if len(gone) > 0 && !prune {
		return nil, fmt.Errorf("%w: %s", ErrNeedsPrune, strings.Join(append(gone, notes...), ", "))
	}
	if c.Revision == before.Revision {
		return nil, nil
	}
	return changes, s.activate(ctx, c, source)
}

// identify gives the next catalog its ids, and returns what it changes. Notes are what the operator may have meant
// otherwise; they are the last of the changes, too.
func identify(before, next *catalog.Catalog) (c *catalog.Catalog, changes []catalog.Change, notes []string, err error) {
	out, err := catalog.Identify(before, next)
	if err != nil {
		return nil, nil, nil, errkind.Wrap(errkind.Invalid, err)
	}
	changes = catalog.Compare(before, out.Catalog)
	for _, r := range out.Renames {
		changes = append(changes, catalog.Change{What: r.String()})
	}
	for _, note := range out.Notes {
		changes = append(changes, catalog.Change{What: note})
	}
	return out.Catalog, changes, out.Notes, nil
}
