package backup

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/regularfile"
)

// Exporter hands out the parts of a backup of a running coordinator: the streams as the NATS server snapshots them, and
// the files of the data directory.
type Exporter struct {
	Dir     string // the data directory
	NATS    *server.Server
	Ledger  Ledger
	Exclude []string // files and directories below Dir that no backup needs
}

// BackupParts lists the parts in the order in which they must be fetched. Keys and accounts are last: an agent that
// joins meanwhile is then in them if it is in a saved stream.
func (e *Exporter) BackupParts(ctx context.Context) (parts []string, err error) {
	streams, err := e.NATS.Streams()
	if err != nil {
		return nil, err
	}
	defer streams.Close()
	names, err := streams.Names(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		parts = append(parts, streamPrefix+name)
	}
	err = fs.WalkDir(os.DirFS(e.Dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case slices.Contains(e.Exclude, name) && d.IsDir():
			return fs.SkipDir
		case d.Type().IsRegular() && !slices.Contains(e.Exclude, name):
			parts = append(parts, filePrefix+name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the data directory: %w", err)
	}
	// Last: a removal after a stream was saved is in the list.
	return append(parts, removalsName), nil
}

// BackupPart writes one part, while the coordinator goes on using it.
func (e *Exporter) BackupPart(ctx context.Context, part string, w io.Writer) error {
	if stream, ok := strings.CutPrefix(part, streamPrefix); ok {
		streams, err := e.NATS.Streams()
		if err != nil {
			return err
		}
		defer streams.Close()
		return streams.Save(ctx, stream, w)
	}
	if part == removalsName {
		return writeRemovals(ctx, e.Ledger, w)
	}
	name, ok := strings.CutPrefix(part, filePrefix)
	if !ok || !filepath.IsLocal(name) {
		return fmt.Errorf("there is no backup part %q", part)
	}
	f, _, err := regularfile.Open(filepath.Join(e.Dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
