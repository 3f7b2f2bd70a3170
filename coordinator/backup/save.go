package backup

import (
	"context"
	"errors"
	"io"
	"time"
)

// Source hands out the parts of a backup: the running coordinator, through its admin socket.
type Source interface {
	// BackupParts lists the parts in the order in which they must be fetched.
	BackupParts(ctx context.Context) ([]string, error)
	// BackupPart writes one part. It returns nil only if the part is complete.
	BackupPart(ctx context.Context, name string, w io.Writer) error
}

// Save fetches every part of the source into a new backup in the directory. If it fails it removes what it wrote. The version is
// that of the program that saves.
func Save(ctx context.Context, source Source, dir, version string) (m Manifest, err error) {
	begun := time.Now()
	parts, err := source.BackupParts(ctx)
	if err != nil {
		return m, err
	}
	w, err := Create(dir)
	if err != nil {
		return m, err
	}
	for _, part := range parts {
		if err = w.Add(part, func(out io.Writer) error { return source.BackupPart(ctx, part, out) }); err != nil {
			return m, errors.Join(err, w.Abandon())
		}
	}
	if m, err = w.Finish(version, begun); err != nil {
		return m, errors.Join(err, w.Abandon())
	}
	return m, nil
}
