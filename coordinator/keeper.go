package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/coordinator/diskguard"
	"github.com/probemesh/probemesh/pkg/bus/server"
)

// keeper hands out what a backup holds of a running coordinator: its streams, by the server's snapshots, and every file of its
// data directory that is not made anew at a start.
type keeper struct {
	data string
	bus  *server.Server
}

const (
	streamParts = "streams/"
	fileParts   = "files/"
)

// remade are the places in a data directory that a start makes anew, or that are saved otherwise.
var remade = []string{"lock", "admin.sock", "view.db", "view.db-wal", "view.db-shm", diskguard.File, "bus/streams"}

// BackupParts lists what a backup holds, in the order in which it is to be fetched: keys and accounts last, so that whoever is
// in a saved stream is known to them.
func (k *keeper) BackupParts(ctx context.Context) (parts []string, err error) {
	streams, err := k.bus.Streams()
	if err != nil {
		return nil, err
	}
	defer streams.Close()
	names, err := streams.Names(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		parts = append(parts, streamParts+name)
	}
	err = fs.WalkDir(os.DirFS(k.data), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case slices.Contains(remade, name) && d.IsDir():
			return fs.SkipDir
		case d.Type().IsRegular() && !slices.Contains(remade, name):
			parts = append(parts, fileParts+name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the data directory: %w", err)
	}
	return parts, nil
}

// BackupPart writes one part.
func (k *keeper) BackupPart(ctx context.Context, part string, w io.Writer) error {
	if stream, ok := strings.CutPrefix(part, streamParts); ok {
		streams, err := k.bus.Streams()
		if err != nil {
			return err
		}
		defer streams.Close()
		return streams.Save(ctx, stream, w)
	}
	name, ok := strings.CutPrefix(part, fileParts)
	if !ok || !filepath.IsLocal(name) {
		return fmt.Errorf("a backup has no part %q", part)
	}
	f, err := os.Open(filepath.Join(k.data, name))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
