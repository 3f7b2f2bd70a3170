package main

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

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/archive"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/command"
)

func newRestoreCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Make a fresh data directory of a backup, for `coordinator serve` to go on from",
		Long: "Restore checks the whole backup first and writes nothing if any byte of it is wrong. The data directory must be missing\n" +
			"or empty; stop the coordinator that the backup was made of before this one serves.\n\n" +
			"What came after the backup's moment is lost: agents that joined since are not known, and must join again. Keys that\n" +
			"were revoked since count again, and their agents are let in as soon as this coordinator serves: revoke them again. To\n" +
			"keep them out from the first moment, serve with --nats-listen 127.0.0.1:4222 until they are revoked. A gossip key that\n" +
			"was rotated since is the one of before again.\n\n" +
			"Root acts as the owner of the data directory, or of the directory that it is made in, so that the service's user can\n" +
			"read what is restored.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := archive.Open(args[0])
			if err != nil {
				return err
			}
			defer a.Close()
			// From here on, not before: the backup may be one that only root can read.
			if err := command.BecomeOwner(standing(data)); err != nil {
				return err
			}
			if err := restore(cmd.Context(), a, data, command.NewLogger(cmd.ErrOrStderr())); err != nil {
				return err
			}
			tellRestored(cmd.OutOrStdout(), a.Made, data)
			return nil
		},
	}
	dataFlag(cmd, &data)
	return cmd
}

// standing is the directory, or the first above it that is there.
func standing(dir string) string {
	for {
		_, err := os.Stat(dir)
		if above := filepath.Dir(dir); errors.Is(err, os.ErrNotExist) && above != dir {
			dir = above
			continue
		}
		return dir
	}
}

// tellRestored says what to do now, and what a backup cannot know.
func tellRestored(out io.Writer, made time.Time, data string) {
	coordinator := command.Called("coordinator")
	fmt.Fprintf(out, "restored the backup of %s into %s; now: %s serve --data %s\n", when(made), data, coordinator, data)
	fmt.Fprintf(out, "what came after %s is lost:\n", when(made))
	fmt.Fprintf(out, "  agents that joined since must join again: %s invite HOST\n", coordinator)
	fmt.Fprintf(out, "  agents that were revoked since are let in again; revoke each once more: %s revoke HOST\n", coordinator)
	if os.Geteuid() == 0 {
		fmt.Fprintf(out, "the files are root's; if the coordinator has a user of its own: chown -R USER: %s\n", data)
	}
}

// staging is where a restore works, in the data directory itself: that may be a mount, or the only place one may write.
const staging = "restoring"

// restore writes a backup that was found whole into a fresh data directory: all of it, or nothing.
func restore(ctx context.Context, a *archive.Archive, data string, log zerolog.Logger) (err error) {
	if !slices.ContainsFunc(a.Files, func(f archive.File) bool { return f.Name == streamParts+"LEDGER" }) {
		return errors.New("the backup holds no ledger: it is not one of a coordinator")
	}
	made, err := fresh(data)
	if err != nil {
		return err
	}
	stage := filepath.Join(data, staging)
	defer func() {
		err = errors.Join(err, os.RemoveAll(stage))
		if err != nil && made {
			err = errors.Join(err, os.Remove(data))
		}
	}()
	if err := restoreFiles(a, stage); err != nil {
		return err
	}
	if err := restoreStreams(ctx, a, stage, log); err != nil {
		return err
	}
	entries, err := os.ReadDir(stage)
	for _, e := range entries {
		err = errors.Join(err, os.Rename(filepath.Join(stage, e.Name()), filepath.Join(data, e.Name())))
	}
	if err != nil {
		return fmt.Errorf("put the restored files in their place: %w", err)
	}
	return nil
}

// fresh makes the data directory, unless it is there and empty.
func fresh(data string) (made bool, err error) {
	entries, err := os.ReadDir(data)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := os.MkdirAll(data, 0o700); err != nil {
			return false, fmt.Errorf("make the data directory: %w", err)
		}
		return true, nil
	case err != nil:
		return false, fmt.Errorf("the data directory: %w", err)
	case len(entries) > 0:
		return false, fmt.Errorf("%s is not empty: restore only makes a new coordinator; name another directory with --data, or move this one away", data)
	}
	return false, nil
}

func restoreFiles(a *archive.Archive, stage string) error {
	for _, f := range a.Files {
		name, ok := strings.CutPrefix(f.Name, fileParts)
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

func restoreFile(a *archive.Archive, name, path string) error {
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

// restoreStreams has a server with the restored keys make the streams. It listens on this machine alone, on a port that nobody
// knows.
func restoreStreams(ctx context.Context, a *archive.Archive, stage string, log zerolog.Logger) error {
	natsd, err := server.Start(ctx, server.Config{Dir: filepath.Join(stage, "bus"), Listen: "127.0.0.1:0", Logger: log.Level(zerolog.WarnLevel)})
	if err != nil {
		return err
	}
	defer natsd.Close()
	streams, err := natsd.Streams()
	if err != nil {
		return err
	}
	defer streams.Close()
	for _, f := range a.Files {
		if !strings.HasPrefix(f.Name, streamParts) {
			continue
		}
		in, err := a.Read(f.Name)
		if err != nil {
			return fmt.Errorf("restore %s: %w", f.Name, err)
		}
		if err := streams.Load(ctx, in); err != nil {
			return err
		}
	}
	return nil
}
