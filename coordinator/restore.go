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
	"github.com/probemesh/probemesh/coordinator/catalogs"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
)

const restoreLong = `
Restore creates a coordinator's state directory from a backup. It verifies the whole backup first
and writes nothing if any byte of it is wrong. The state directory must be missing or empty. Stop
the old coordinator before you start the restored one.

What happened after the backup is lost. Agents that joined since then must join again. Agents that
were revoked since then are members again as soon as the restored coordinator runs: revoke them
again. To keep them out meanwhile, start it with --nats-listen 127.0.0.1:4222. A gossip key that was
rotated since then is the old one again.

What people removed after the backup returns, too: a backup has the texts of its time, and API
tokens that were revoked since then are valid again. --removals removes both again while restoring,
by the removals.json that every backup has: name that of the newest backup. It holds ids alone.

--rewrite-secrets makes a clean store from the backup of a version that stored the values of
${VAR} in the catalog. Every old catalog gets the references of the current one in the place of
values; what the current one does not have becomes a mark. Ids, names, revisions and the history
stay. The current catalog is the newest one of the backup, or the file that is named as in
--rewrite-secrets=catalog.yaml, which is put in force. Afterwards remove the backup.

With --nats the streams go into that cluster, whether or not the backup is from a cluster. A cluster
that survived its coordinator still has the streams and keeps them; then nothing is lost. Without
--nats the streams go into the state directory, and agents of a cluster find the coordinator if it
has the address of one of the nodes. If a whole cluster was lost: restore without --nats, create new
nodes with "coordinator nats-config", and restore again with --nats into another directory.

If root runs it, it acts as the owner of the state directory or of the directory above it, so that
the service's user can read the restored files.`

func newRestoreCommand() *cobra.Command {
	var data, rewrite, removals string
	var cluster []string
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Create a state directory from a backup",
		Long:  restoreLong,
		Example: "  coordinator restore /var/backups/probemesh/2026-03-01\n" +
			"  coordinator restore saved --removals newer/removals.json\n" +
			"  coordinator restore saved --rewrite-secrets=catalog.yaml\n" +
			"  coordinator restore saved --data restored --nats tls://nats-1.example.net:4222",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := backup.Open(args[0])
			if err != nil {
				return err
			}
			defer a.Close()
			options, err := restoreOptions(cmd, rewrite, removals)
			if err != nil {
				return err
			}
			// After Open and not before it: perhaps only root can read the backup. Its files stay open.
			if err := command.BecomeOwner(nearestExisting(data)); err != nil {
				return err
			}
			done, err := backup.Restore(cmd.Context(), a, data, openBus(cmd, cluster), options)
			if err != nil {
				return err
			}
			serve := command.ProgramName("coordinator") + " serve --data " + data
			if len(cluster) > 0 {
				serve += " --nats " + strings.Join(cluster, ",")
			}
			out := command.Printable(cmd.OutOrStdout())
			writeRestored(out, a.Manifest.Made, data, serve, done.Kept)
			writeChanged(out, options, done)
			return nil
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().StringSliceVar(&cluster, "nats", nil,
		"restore the streams into the NATS cluster with these `URLS`, as in tls://nats-1.example.net:4222")
	restoreFlags(cmd, &rewrite, &removals)
	return cmd
}

// openBus returns what opens the servers that receive the streams.
func openBus(cmd *cobra.Command, cluster []string) backup.OpenBus {
	return func(ctx context.Context, dir string) (*server.Server, error) {
		return node.OpenBus(ctx, node.Config{
			Data: dir, NATSServers: cluster, Logger: command.NewLogger(cmd).Level(zerolog.WarnLevel),
			NATSListen: "127.0.0.1:0", // a server in this process: on a port that no agent knows
		})
	}
}

func restoreFlags(cmd *cobra.Command, rewrite, removals *string) {
	cmd.Flags().StringVar(removals, "removals", "",
		"remove what people removed since the backup, by the `FILE` of a later one, or its directory")
	cmd.Flags().StringVar(rewrite, "rewrite-secrets", "",
		"remove secrets that catalogs of earlier versions hold; with =`CATALOG`, put that in force")
	cmd.Flags().Lookup("rewrite-secrets").NoOptDefVal = newestCatalog
}

// newestCatalog is the value of --rewrite-secrets without a file: the newest catalog of the backup.
const newestCatalog = "newest"

// restoreOptions reads what the restore changes on the way.
func restoreOptions(cmd *cobra.Command, rewrite, removals string) (o backup.Options, err error) {
	if o.RewriteSecrets = rewrite != ""; rewrite != "" && rewrite != newestCatalog {
		f, err := readCatalog(cmd, rewrite, catalogs.EnvironmentElsewhere(os.LookupEnv))
		if err != nil {
			return o, err
		}
		o.Current = f.Catalog
	}
	if removals != "" {
		o.Removals, err = backup.ReadRemovals(removals)
	}
	return o, err
}

// writeChanged prints what the restore changed on the way, and what returns.
func writeChanged(out io.Writer, o backup.Options, done backup.Outcome) {
	switch {
	case done.Kept:
	case o.Removals != nil:
		fmt.Fprintf(out, "removed what people removed since, posts and API tokens: %d\n", done.Removed)
	default:
		fmt.Fprintln(out, "  posts that were removed since then are back with their texts, and API tokens that were revoked "+
			"are valid;\n  to remove them while restoring, name the removals.json of a later backup: --removals FILE")
	}
	if w := done.Rewritten; o.RewriteSecrets {
		fmt.Fprintf(out, "secrets removed from %s: %s became references, %d became marks; %s and %s repeated a value\n",
			mesh.Count(w.Catalogs, "catalog"), mesh.Count(w.References, "text"), w.Marks, mesh.Count(w.Reports, "report"),
			mesh.Count(w.Observations, "observation"))
	}
}

// nearestExisting returns the directory, or the first above it that exists.
func nearestExisting(dir string) string {
	for {
		_, err := os.Stat(dir)
		parent := filepath.Dir(dir)
		if !errors.Is(err, os.ErrNotExist) || parent == dir {
			return dir
		}
		dir = parent
	}
}

// writeRestored prints what to do next, and what is lost.
func writeRestored(out io.Writer, made time.Time, data, serve string, kept bool) {
	coordinator := command.ProgramName("coordinator")
	fmt.Fprintf(out, "restored the backup of %s into %s; now: %s\n", formatTime(made), data, serve)
	if kept {
		fmt.Fprintln(out, "the cluster still has the streams and keeps them: nothing after the backup is lost")
	} else {
		fmt.Fprintf(out, "what happened after %s is lost:\n", formatTime(made))
		fmt.Fprintf(out, "  agents that joined since then must join again: %s invite HOST\n", coordinator)
		fmt.Fprintf(out, "  agents that were revoked since then are members again; revoke each: %s revoke HOST\n",
			coordinator)
	}
	if os.Geteuid() == 0 {
		fmt.Fprintf(out, "the files belong to root; if the coordinator runs as another user: chown -R USER: %s\n", data)
	}
}
