package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/privatefile"
)

const natsConfigLong = `
Nats-config creates the configuration of a NATS cluster that "coordinator serve --nats" uses instead
of the server in its own process. Each node is a stock nats-server, 2.15.2 or later.

It prints the configurations. With --out it writes a directory for each node, with configuration,
certificate and key: copy each to its node and start "nats-server -c nats.conf" there. They are
signed with keys that stay in the coordinator's state directory. A node listens for agents at its
port, and for the other nodes at that port plus 2000.`

func newNatsConfigCommand() *cobra.Command {
	var data, out, at string
	var addresses []string
	cmd := &cobra.Command{
		Use:   "nats-config",
		Short: "Create the configuration of a NATS cluster",
		Long:  natsConfigLong,
		Example: "  coordinator nats-config --nodes 192.0.2.1,192.0.2.2,192.0.2.3\n" +
			"  coordinator nats-config --nodes nats-1.example.net,nats-2.example.net,nats-3.example.net --out nodes",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			nodes, err := server.ParseNodes(addresses)
			if err != nil {
				return command.Usage(err)
			}
			directory, err := nodeDirectory(out, at)
			if err != nil {
				return err
			}
			files, err := server.ClusterFiles(node.BusDir(data), nodes, directory)
			if err != nil {
				return err
			}
			if out == "" {
				// As it is, without command.Printable: it is a file's content, and signed accounts make long lines.
				for _, n := range files {
					fmt.Fprintf(cmd.OutOrStdout(), "%s\n", n.Files[server.ConfigFile])
				}
				return nil
			}
			return writeNodes(cmd, files, out)
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().StringSliceVar(&addresses, "nodes", nil,
		"the nodes' `ADDRESSES` or names, three or five, each with or without a port")
	cmd.Flags().StringVar(&out, "out", "", "write a directory of files for each node into `DIRECTORY` (default: print)")
	cmd.Flags().StringVar(&at, "at", "",
		"`DIRECTORY` of the files on a node (default: where --out writes them, else /etc/nats)")
	return cmd
}

// nodeDirectory returns where a node will have its files: its configuration contains their paths.
func nodeDirectory(out, at string) (func(server.Node) string, error) {
	if at == "" && out == "" {
		at = "/etc/nats"
	}
	if at != "" {
		return func(server.Node) string { return at }, nil
	}
	out, err := filepath.Abs(out)
	return func(n server.Node) string { return filepath.Join(out, n.Name) }, err
}

// writeNodes writes a directory for each node. It replaces no directory that exists: a cluster may be running with the
// keys in it.
func writeNodes(cmd *cobra.Command, nodes []server.NodeFiles, out string) error {
	if err := os.MkdirAll(out, 0o700); err != nil {
		return fmt.Errorf("write the nodes' files: %w", err)
	}
	for _, n := range nodes {
		dir := filepath.Join(out, n.Name)
		if err := os.Mkdir(dir, 0o700); errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%s exists already: name another directory with --out, or move this one away", dir)
		} else if err != nil {
			return fmt.Errorf("write the nodes' files: %w", err)
		}
		for name, data := range n.Files {
			if err := privatefile.Write(filepath.Join(dir, name), data); err != nil {
				return fmt.Errorf("write the nodes' files: %w", err)
			}
		}
		fmt.Fprintln(command.Printable(cmd.OutOrStdout()), dir)
	}
	fmt.Fprintf(command.Printable(cmd.ErrOrStderr()),
		"copy each directory to its node, start nats-server -c nats.conf there, then:\n  %s serve --nats %s\n",
		command.ProgramName("coordinator"), server.URLs(nodes))
	return nil
}
