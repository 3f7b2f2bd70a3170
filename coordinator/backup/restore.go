package backup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/dirlock"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// staging is where Restore works. It is inside the data directory, since that may be a mount point, or the only
// directory that this user can write to.
const staging = "restoring"

// OpenBus opens the NATS servers that receive the streams, with the keys below the given data directory.
type OpenBus func(ctx context.Context, data string) (*server.Server, error)

// Options are what Restore changes on the way. The zero value changes nothing.
type Options struct {
	// RewriteSecrets removes the secrets that catalogs of earlier versions hold. Current is the catalog with references
	// that is in force from then on; nil: the newest one of the backup.
	RewriteSecrets bool
	Current        *catalog.Catalog
	Removals       *Removals // nil: what was removed since the backup returns
}

// Outcome is what Restore did.
type Outcome struct {
	Kept      bool // the servers had the streams, which are left as they are
	Removed   int  // removals that the backup lacked
	Rewritten Rewritten
}

// Restore writes a verified backup into a fresh data directory and its streams into the servers that open returns: all
// of it, or nothing. Streams that the servers already have are left as they are.
func Restore(ctx context.Context, a *Archive, data string, open OpenBus, o Options) (done Outcome, err error) {
	if !slices.Contains(streamsOf(a), "LEDGER") {
		return done, errors.New("the backup contains no ledger, so it is not a coordinator's")
	}
	created, err := createEmpty(data)
	if err != nil {
		return done, err
	}
	lock, err := dirlock.Acquire(data) // neither a coordinator nor another restore begins here meanwhile
	if err != nil {
		return done, fmt.Errorf("the data directory: %w", err)
	}
	stage := filepath.Join(data, staging)
	defer func() {
		err = errors.Join(err, os.RemoveAll(stage))
		switch {
		case err == nil:
			err = lock.Release()
		case created:
			err = errors.Join(err, lock.Remove(), os.Remove(data))
		default:
			err = errors.Join(err, lock.Remove())
		}
	}()
	if err := restoreFiles(a, stage); err != nil {
		return done, err
	}
	if done, err = restoreStreams(ctx, a, stage, open, o); err != nil {
		return done, err
	}
	entries, err := os.ReadDir(stage)
	for _, e := range entries {
		err = errors.Join(err, os.Rename(filepath.Join(stage, e.Name()), filepath.Join(data, e.Name())))
	}
	if err != nil {
		return done, fmt.Errorf("move the restored files into place: %w", err)
	}
	return done, nil
}

// createEmpty creates the data directory. It accepts an existing one only if that is empty, but for the lock file of a
// process that was killed early.
func createEmpty(data string) (created bool, err error) {
	entries, err := os.ReadDir(data)
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() == dirlock.FileName })
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

// restoreStreams creates the streams, unless the servers have them all, and changes them as the options say.
func restoreStreams(ctx context.Context, a *Archive, stage string, open OpenBus, o Options) (done Outcome, err error) {
	natsd, err := open(ctx, stage)
	if err != nil {
		return done, err
	}
	defer natsd.Close()
	streams, err := natsd.Streams()
	if err != nil {
		return done, err
	}
	defer streams.Close()
	names := streamsOf(a)
	if done.Kept, err = hasAll(ctx, streams, names); err != nil {
		return done, err
	}
	if done.Kept {
		if o.RewriteSecrets {
			return done, errors.New("the cluster still has the streams of the mesh, and they are not rewritten there: " +
				"restore without --nats, or into another cluster")
		}
		return done, nil // removals are in them
	}
	if err := loadStreams(ctx, a, streams, names); err != nil {
		return done, err
	}
	if err := change(ctx, natsd, streams, stage, o, &done); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWait)
		defer cancel()
		return done, errors.Join(err, streams.Remove(ctx, names...))
	}
	return done, nil
}

// hasAll reports whether the servers have all of the streams. It fails if they have some of them.
func hasAll(ctx context.Context, streams *server.Streams, names []string) (bool, error) {
	existing, err := streams.Names(ctx)
	if err != nil {
		return false, err
	}
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(existing, name) })
	switch len(missing) {
	case 0:
		return true, nil
	case len(names):
		return false, nil
	}
	// Keeping what is there would lose what is missing, and replacing it could lose newer events: a person decides.
	return false, fmt.Errorf("the cluster has some streams of a mesh but not %s: stop its nodes, "+
		"move the directory streams of each away, start them and restore again", strings.Join(missing, ", "))
}

// change changes restored streams as the options say.
func change(
	ctx context.Context, natsd *server.Server, streams *server.Streams, stage string, o Options, done *Outcome,
) (err error) {
	var current *ledger.CatalogEvent
	if o.RewriteSecrets {
		if done.Rewritten, current, err = rewriteSecrets(ctx, streams, o.Current, stage); err != nil {
			return err
		}
	}
	if o.Removals == nil && current == nil {
		return nil
	}
	config, err := natsd.CoordinatorConfig()
	if err != nil {
		return err
	}
	b, err := buscoordinator.Dial(ctx, config)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.Lead(ctx); err != nil {
		return err
	}
	if current != nil {
		data, err := json.Marshal(current)
		if err != nil {
			return err
		}
		id := current.Catalog.Revision + "-" + rand.Text()
		if _, err := b.Append(ctx, []bus.Entry{{Subject: "catalog", ID: id, Data: data}}); err != nil {
			return err
		}
	}
	if o.Removals != nil {
		done.Removed, err = o.Removals.apply(ctx, restored{b})
	}
	return err
}

// restored is a coordinator's connection as a removalStore.
type restored struct{ *buscoordinator.Conn }

// Erase implements removalStore.
func (r restored) Erase(ctx context.Context, id string) error {
	_, err := r.Texts().Erase(ctx, id)
	return err
}

// EraseTokens implements removalStore.
func (r restored) EraseTokens(ctx context.Context, ids map[string]bool) error {
	var records []string
	err := r.People().Each(ctx, func(record string, data []byte) error {
		var token struct {
			Kind string `json:"kind"`
			ID   string `json:"id"`
		}
		if json.Unmarshal(data, &token) == nil && token.Kind == "token" && ids[token.ID] {
			records = append(records, record)
		}
		return nil
	})
	for _, record := range records {
		_, failed := r.People().Erase(ctx, record)
		err = errors.Join(err, failed)
	}
	return err
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
