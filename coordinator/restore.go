package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/backup"
	"github.com/probemesh/probemesh/coordinator/node"
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
			log := command.NewLogger(cmd).Level(zerolog.WarnLevel)
			kept, err := backup.Restore(cmd.Context(), a, data, func(ctx context.Context, dir string) (*server.Server, error) {
				// A server in this process listens on this machine alone, on a port that nobody knows.
				return node.OpenBus(ctx, node.Config{Data: dir, NATSListen: "127.0.0.1:0", NATSServers: cluster, Logger: log})
			})
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
	coordinator := command.ProgramName("coordinator")
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
