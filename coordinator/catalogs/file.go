package catalogs

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/wire"
)

// watchEvery is how often the file is read. It is read whole, since editors and configuration tools replace it in
// ways that notifications of the file system miss.
const watchEvery = time.Second

// fileText is a file's text, or why it could not be read. Two readings of an unchanged file are equal.
type fileText struct{ text, failure string }

func load(file string) fileText {
	text, err := os.ReadFile(file)
	if err != nil {
		return fileText{failure: err.Error()}
	}
	return fileText{text: string(text)}
}

func (s *Store) parse(f fileText) (*catalog.Catalog, error) {
	if f.failure != "" {
		return nil, fmt.Errorf("read the catalog: %s", f.failure)
	}
	c, err := catalogfile.Parse(s.config.File, []byte(f.text), s.config.Getenv)
	if err != nil {
		return nil, err
	}
	// record checks the same. Here it is a mistake in the file, which is not tried again and does not prevent a start.
	answer, err := wire.EncodeAnswer(wire.Answer{Catalog: c})
	if err != nil {
		return nil, err
	}
	return c, decodable(answer)
}

// watch puts the file in force whenever it changes, and tries again if that failed.
func (s *Store) watch(ctx context.Context) error {
	if s.config.File == "" {
		return nil
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	last := s.loaded
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if now := load(s.config.File); now != last && s.reload(ctx, now) {
			last = now
		}
	}
}

// reload puts the file's catalog in force. It reports whether it is done with this text: in force, or rejected.
func (s *Store) reload(ctx context.Context, f fileText) (done bool) {
	c, err := s.parse(f)
	if err != nil {
		s.setFileProblems(err)
		return true
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if c.Revision != s.Current().Revision {
		err = s.activate(ctx, c, s.config.File)
	}
	s.setFileProblems(err)
	return err == nil
}

// setFileProblems reports what is wrong with the file to operators and in the log; nil clears it.
func (s *Store) setFileProblems(err error) {
	if err == nil {
		s.config.Problems(nil)
		return
	}
	mistakes := strings.Split(err.Error(), "\n")
	s.config.Logger.Error().Str("file", s.config.File).Strs("mistakes", mistakes).Msg("catalog rejected")
	problems := make([]string, len(mistakes))
	for i, mistake := range mistakes {
		problems[i] = "catalog file rejected, the previous catalog stays in force: " + mistake
	}
	s.config.Problems(problems)
}
