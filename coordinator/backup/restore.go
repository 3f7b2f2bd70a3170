package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/bus/server"
)

// staging is where Restore works. It is inside the data directory, since that may be a mount point, or the only
// directory that this user can write to.
const staging = "restoring"

// OpenBus opens the NATS servers that receive the streams, with the keys below the given data directory.
type OpenBus func(ctx context.Context, data string) (*server.Server, error)

// Restore writes a verified backup into a fresh data directory and its streams into the servers that open returns: all
// of it, or nothing. It reports whether the servers already had the streams, which are then left as they are.
func Restore(ctx context.Context, a *Archive, data string, open OpenBus) (kept bool, err error) {
	if !slices.Contains(streamsOf(a), "LEDGER") {
		return false, errors.New("the backup contains no ledger, so it is not a coordinator's")
	}
	created, err := createEmpty(data)
	if err != nil {
		return false, err
	}
	stage := filepath.Join(data, staging)
	defer func() {
		err = errors.Join(err, os.RemoveAll(stage))
		if err != nil && created {
			err = errors.Join(err, os.Remove(data))
		}
	}()
	if err := restoreFiles(a, stage); err != nil {
		return false, err
	}
	if kept, err = restoreStreams(ctx, a, stage, open); err != nil {
		return false, err
	}
	entries, err := os.ReadDir(stage)
	for _, e := range entries {
		err = errors.Join(err, os.Rename(filepath.Join(stage, e.Name()), filepath.Join(data, e.Name())))
	}
	if err != nil {
		return kept, fmt.Errorf("move the restored files into place: %w", err)
	}
	return kept, nil
}

// createEmpty creates the data directory. It accepts an existing one only if that is empty.
func createEmpty(data string) (created bool, err error) {
	entries, err := os.ReadDir(data)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := os.MkdirAll(data, 0o700); err != nil {
			return false, fmt.Errorf("create the data directory: %w", err)
		}
		return true, nil
	case err != nil:
		return false, fmt.Errorf("read the data directory: %w", err)
	case len(entries) > 0:
		return false, fmt.Errorf("%s is not empty: restore only creates new coordinators; "+
			"name another directory with --data, or move this one away", data)
	}
	return false, nil
}

// restoreFiles writes the files of the data directory into stage.
func restoreFiles(a *Archive, stage string) error {
	for _, f := range a.Manifest.Files {
		name, ok := strings.CutPrefix(f.Name, filePrefix)
		if !ok {
			continue
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("the backup's %q would leave the data directory", f.Name)
		}
		if err := restoreFile(a, f.Name, filepath.Join(stage, name)); err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
	}
	return nil
}

func restoreFile(a *Archive, name, path string) error {
	in, err := a.Read(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// restoreStreams creates the streams, unless the servers have them all.
func restoreStreams(ctx context.Context, a *Archive, stage string, open OpenBus) (kept bool, err error) {
	natsd, err := open(ctx, stage)
	if err != nil {
		return false, err
	}
	defer natsd.Close()
	streams, err := natsd.Streams()
	if err != nil {
		return false, err
	}
	defer streams.Close()
	names := streamsOf(a)
	existing, err := streams.Names(ctx)
	if err != nil {
		return false, err
	}
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(existing, name) })
	switch len(missing) {
	case 0:
		return true, nil
	case len(names):
		return false, loadStreams(ctx, a, streams, names)
	}
	// Keeping what is there would lose what is missing, and replacing it could lose newer events: a person decides.
	return false, fmt.Errorf("the cluster has some streams of a mesh but not %s: stop its nodes, "+
		"move the directory streams of each away, start them and restore again", strings.Join(missing, ", "))
}

// streamsOf lists the streams in the backup, in the order in which they were saved.
func streamsOf(a *Archive) (names []string) {
	for _, f := range a.Manifest.Files {
		if name, ok := strings.CutPrefix(f.Name, streamPrefix); ok {
			names = append(names, name)
		}
	}
	return names
}

// removeWait bounds the removal of streams after a failure, which a cancelled context must not prevent.
const removeWait = 10 * time.Second

// loadStreams creates all of the streams, or none.
func loadStreams(ctx context.Context, a *Archive, streams *server.Streams, names []string) error {
	for i, name := range names {
		in, err := a.Read(streamPrefix + name)
		if err == nil {
			err = streams.Load(ctx, in)
		}
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWait)
			defer cancel()
			return errors.Join(fmt.Errorf("restore %s: %w", name, err), streams.Remove(ctx, names[:i]...))
		}
	}
	return nil
}
