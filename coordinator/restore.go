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

	"github.com/probemesh/probemesh/coordinator/backup"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/command"
)

const restoreLong = "Restore checks the whole backup first and writes nothing if any byte of it is wrong. The data directory must be missing\n" +
	"or empty; stop the coordinator that the backup was made of before this one serves.\n\n" +
	"What came after the backup's moment is lost: agents that joined since are not known, and must join again. Keys that\n" +
	"were revoked since count again, and their agents are let in as soon as this coordinator serves: revoke them again. To\n" +
	"keep them out from the first moment, serve with --nats-listen 127.0.0.1:4222 until they are revoked. A gossip key that\n" +
	"was rotated since is the one of before again.\n\n" +
	"With --nats the streams go into that cluster, wherever the backup is from. A cluster that outlived its coordinator has\n" +
	"them, and keeps them: then nothing is lost. Without --nats the streams go into the data directory, wherever the backup\n" +
	"is from: agents of a cluster find this coordinator where it has the address of one of the nodes. For a cluster that was\n" +
	"lost whole, restore so, make its nodes with `coordinator nats-config`, and restore again with --nats into another\n" +
	"directory.\n\n" +
	"Root acts as the owner of the data directory, or of the directory that it is made in, so that the service's user can\n" +
	"read what is restored."

func newRestoreCommand() *cobra.Command {
	var data string
	var cluster []string
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Make a fresh data directory of a backup, for `coordinator serve` to go on from",
		Long:  restoreLong,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := backup.Open(args[0])
			if err != nil {
				return err
			}
			defer a.Close()
			// From here on, not before: the backup may be one that only root can read.
			if err := command.BecomeOwner(standing(data)); err != nil {
				return err
			}
			kept, err := restore(cmd.Context(), a, data, cluster, command.NewLogger(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			serve := "serve --data " + data
			if len(cluster) > 0 {
				serve += " --nats " + strings.Join(cluster, ",")
			}
			tellRestored(cmd.OutOrStdout(), a.Made, data, serve, kept)
			return nil
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().StringSliceVar(&cluster, "nats", nil, "servers of the NATS cluster that gets the streams, as in tls://nats-1.example.net:4222; without it they go into the data directory")
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
func tellRestored(out io.Writer, made time.Time, data, serve string, kept bool) {
	coordinator := command.Called("coordinator")
	fmt.Fprintf(out, "restored the backup of %s into %s; now: %s %s\n", when(made), data, coordinator, serve)
	if kept {
		fmt.Fprintln(out, "the cluster has the streams already, and keeps them: what came after the backup is not lost")
	} else {
		fmt.Fprintf(out, "what came after %s is lost:\n", when(made))
		fmt.Fprintf(out, "  agents that joined since must join again: %s invite HOST\n", coordinator)
		fmt.Fprintf(out, "  agents that were revoked since are let in again; revoke each once more: %s revoke HOST\n", coordinator)
	}
	if os.Geteuid() == 0 {
		fmt.Fprintf(out, "the files are root's; if the coordinator has a user of its own: chown -R USER: %s\n", data)
	}
}

// staging is where a restore works, in the data directory itself: that may be a mount, or the only place one may write.
const staging = "restoring"

// restore writes a backup that was found whole into a fresh data directory, and its streams into the cluster if one is named: all
// of it, or nothing. It tells whether the cluster had the streams, which it keeps.
func restore(ctx context.Context, a *backup.Archive, data string, cluster []string, log zerolog.Logger) (kept bool, err error) {
	if !slices.Contains(streamsOf(a), "LEDGER") {
		return false, errors.New("the backup holds no ledger: it is not one of a coordinator")
	}
	made, err := fresh(data)
	if err != nil {
		return false, err
	}
	stage := filepath.Join(data, staging)
	defer func() {
		err = errors.Join(err, os.RemoveAll(stage))
		if err != nil && made {
			err = errors.Join(err, os.Remove(data))
		}
	}()
	if err := restoreFiles(a, stage); err != nil {
		return false, err
	}
	if kept, err = restoreStreams(ctx, a, stage, cluster, log); err != nil {
		return false, err
	}
	entries, err := os.ReadDir(stage)
	for _, e := range entries {
		err = errors.Join(err, os.Rename(filepath.Join(stage, e.Name()), filepath.Join(data, e.Name())))
	}
	if err != nil {
		return kept, fmt.Errorf("put the restored files in their place: %w", err)
	}
	return kept, nil
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

func restoreFiles(a *backup.Archive, stage string) error {
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

func restoreFile(a *backup.Archive, name, path string) error {
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

// restoreStreams makes the streams: in the cluster, or where that is not named by a server with the restored keys, which listens
// on this machine alone, on a port that nobody knows.
func restoreStreams(ctx context.Context, a *backup.Archive, stage string, cluster []string, log zerolog.Logger) (kept bool, err error) {
	natsd, err := openBus(ctx, nodeConfig{data: stage, nats: "127.0.0.1:0", external: cluster}, log.Level(zerolog.WarnLevel))
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
	there, err := streams.Names(ctx)
	if err != nil {
		return false, err
	}
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(there, name) })
	switch len(missing) {
	case 0:
		return true, nil
	case len(names):
		return false, loadStreams(ctx, a, streams, names)
	}
	return false, fmt.Errorf("the cluster has some streams of a mesh but not %s: stop its nodes, move the directory streams of each away, "+
		"start them and restore again", strings.Join(missing, ", "))
}

func streamsOf(a *backup.Archive) (names []string) {
	for _, f := range a.Files {
		if name, ok := strings.CutPrefix(f.Name, streamParts); ok {
			names = append(names, name)
		}
	}
	return names
}

const removeWait = 10 * time.Second

// loadStreams makes all of the streams, or none.
func loadStreams(ctx context.Context, a *backup.Archive, streams *server.Streams, names []string) error {
	for i, name := range names {
		in, err := a.Read(streamParts + name)
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
