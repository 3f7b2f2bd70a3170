package catalogs

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/catalog/file"
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
	if problems := s.secrets.addressProblems(c); len(problems) > 0 {
		return nil, errkind.New(errkind.Invalid, strings.Join(problems, "; "))
	}
	c = s.secrets.withDigests(c)
	s.changing.Lock()
	defer s.changing.Unlock()
	before := s.Current()
	next, changes, err := identify(before, c)
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
		for _, n := range next.Notes {
			gone = append(gone, n.Text)
		}
		return nil, fmt.Errorf("%w: %s", ErrNeedsPrune, strings.Join(gone, ", "))
	}
	if next.Catalog.Revision == before.Revision {
		return nil, nil
	}
	if err := s.activate(ctx, next.Catalog, source); err != nil {
		return changes, err
	}
	logRenames(s, next, nil)
	return changes, nil
}

// identify gives the next catalog its ids, and returns what it changes. What the operator may have meant otherwise is
// the last of the changes.
func identify(before, next *catalog.Catalog) (out catalog.Identified, changes []catalog.Change, err error) {
	if out, err = catalog.Identify(before, next); err != nil {
		return out, nil, errkind.Wrap(errkind.Invalid, err)
	}
	return out, append(catalog.Compare(before, out.Catalog), out.Changes()...), nil
}

// renamesMax bounds the renames that the log names of one catalog.
const renamesMax = 100

// logRenames logs what kept its history under another name in a catalog that came into force, and returns what the
// operator may have meant otherwise, with the lines of the file if those are known.
func logRenames(s *Store, next catalog.Identified, lines file.Lines) (advice []string) {
	for _, r := range next.Renames[:min(len(next.Renames), renamesMax)] {
		s.config.Logger.Info().Str("catalog", next.Catalog.Revision).Str("text", r.String()).Msg("renamed")
	}
	for _, n := range next.Notes {
		text := n.Text
		if line := cmp.Or(lines.Of(n.Host, n.Check), lines.Of(n.Host, "")); line > 0 {
			text = fmt.Sprintf("%s:%d: %s", s.config.File, line, text)
		}
		s.config.Logger.Warn().Str("catalog", next.Catalog.Revision).Str("text", text).Msg("perhaps renamed")
		advice = append(advice, text)
	}
	return advice
}
