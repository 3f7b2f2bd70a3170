package catalogs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/regularfile"
	"github.com/probemesh/probemesh/pkg/wire"
)

// watchEvery is how often the file is read. It is read whole, since editors and configuration tools replace it in
// ways that notifications of the file system miss.
const watchEvery = time.Second

func load(file string) reading {
	text, info, err := regularfile.Read(file, catalogfile.SizeMax)
	if err != nil {
		return reading{failure: err.Error()}
	}
	return reading{text: string(text), info: info}
}

func (s *Store) parse(r reading) (*catalog.Catalog, catalogfile.Lines, error) {
	if r.failure != "" {
		return nil, nil, fmt.Errorf("read the catalog: %s", r.failure)
	}
	c, lines, err := catalogfile.ParseLines(s.config.File, []byte(r.text), Environment(s.config.Getenv))
	if err != nil {
		return nil, nil, err
	}
	c = s.secrets.withDigests(c)
	// record checks the same. Here it is a mistake in the file, which is not tried again and does not prevent a start.
	answer, err := wire.EncodeAnswer(wire.Answer{Catalog: c})
	if err != nil {
		return nil, nil, err
	}
	return c, lines, decodable(answer)
}

// watch puts the file in force whenever it changes, and tries again if that failed.
func (s *Store) watch(ctx context.Context) error {
	if s.config.File == "" {
		return nil
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	change := fileChange{reading: s.done()}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		now := time.Now()
		change = change.next(load(s.config.File), now)
		switch {
		case change.reading.same(s.done()):
			s.warn("")
		case !now.Before(change.settled()) && s.reload(ctx, change, now):
			s.setDone(change.reading)
			s.warn("")
		}
	}
}

// done returns the text of the file that was put in force or rejected last.
func (s *Store) done() reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loaded
}

func (s *Store) setDone(r reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = r
}

// reload puts the file's catalog in force, unless that must wait. It reports whether it is done with this text: in
// force, or rejected.
func (s *Store) reload(ctx context.Context, change fileChange, now time.Time) (done bool) {
	c, lines, err := s.parse(change.reading)
	if err != nil {
		s.setFileProblems(err)
		return true
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	next, _, err := identify(s.Current(), c)
	if err != nil {
		s.setFileProblems(err)
		return true
	}
	if c = next.Catalog; c.Revision != s.Current().Revision {
		if now.Before(change.due()) && s.config.Snapshot != nil {
			if lost := lostOutages(s.Current(), c, s.config.Snapshot()); len(lost) > 0 {
				s.warn(holdText(lost, change.due(), s.config.File))
				return false
			}
		}
		if err = s.activate(ctx, c, s.config.File); err == nil {
			warnRenames(s, next, lines)
		}
	}
	s.setFileProblems(err)
	return err == nil
}

// warnRenames logs the renames of a file that is in force, and warns of what the operator may have meant otherwise,
// until the file changes again.
func warnRenames(s *Store, next catalog.Identified, lines catalogfile.Lines) {
	text := strings.Join(logRenames(s, next, lines), "; ")
	if text != "" {
		text = "the catalog file is in force, and " + text + "; to keep that history, put the former name back, and then " +
			"rename it with was"
	}
	s.config.Warn("renames", text)
}

// lostMax bounds how many hosts and checks a warning names.
const lostMax = 20

func holdText(lost []string, due time.Time, file string) string {
	list := strings.Join(lost[:min(len(lost), lostMax)], ", ")
	if more := len(lost) - lostMax; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("the catalog file no longer shows what is down now: %s; the change waits until %s, or for "+
		"`coordinator apply %s --confirm`", list, due.UTC().Format("15:04:05Z"), file)
}

// warn sets the warning about a change of the file that waits; an empty text clears it.
func (s *Store) warn(text string) { s.config.Warn("catalog change", text) }

// ApplyFile returns what the file changes in the catalog in force, if it is the file that the coordinator follows. With
// confirm, the file is put in force at once, also where it would wait.
func (s *Store) ApplyFile(
	ctx context.Context, file string, confirm bool,
) (changes []catalog.Change, follows bool, err error) {
	if s.config.File == "" || !sameFile(file, s.config.File) {
		return nil, false, nil
	}
	text := load(s.config.File)
	c, lines, err := s.parse(text)
	if err != nil {
		return nil, true, errkind.Wrap(errkind.Invalid, err)
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	next, changes, err := identify(s.Current(), c)
	if err != nil {
		return nil, true, err
	}
	if c = next.Catalog; !confirm || c.Revision == s.Current().Revision {
		return changes, true, nil
	}
	if err = s.activate(ctx, c, s.config.File); err == nil {
		warnRenames(s, next, lines)
		s.setDone(text)
		s.setFileProblems(nil)
	}
	return changes, true, err
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errors.Join(errX, errY) == nil && os.SameFile(x, y)
}

// setFileProblems reports what is wrong with the file to operators and in the log; nil clears it. The log has each
// problem once, although the store tries again every second if the ledger fails, and has its end: a file that is mended
// by putting the former text back puts nothing in force that would say so.
func (s *Store) setFileProblems(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.mu.Lock()
	before := s.rejection
	s.rejection = text
	s.mu.Unlock()
	if err == nil {
		if before != "" {
			s.config.Logger.Info().Str("file", s.config.File).Msg("catalog file no longer rejected")
		}
		s.config.Problems(nil)
		return
	}
	mistakes := strings.Split(text, "\n")
	if text != before {
		s.config.Logger.Error().Str("file", s.config.File).Strs("mistakes", mistakes).Msg("catalog rejected")
	}
	problems := make([]string, len(mistakes))
	for i, mistake := range mistakes {
		problems[i] = "catalog file rejected, the previous catalog stays in force: " + mistake
	}
	s.config.Problems(problems)
}
