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

func newNatsConfigCommand() *cobra.Command {
	var data, out, at string
	var addresses []string
	cmd := &cobra.Command{
		Use:   "nats-config",
		Short: "Make the configuration of a NATS cluster of its own, for `coordinator serve --nats`",
		Long: "nats-config prints the configuration of each node, a stock nats-server of 2.15.2 or later. With --out it writes, for each\n" +
			"node, a directory with configuration, certificate and key: copy it to the node and start `nats-server -c nats.conf` there.\n" +
			"What was signed comes from the coordinator's directory, and the signing keys stay in it. Each node listens for agents at\n" +
			"its port, and for the other nodes at that port and 2000.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			nodes, err := server.ParseNodes(addresses)
			if err != nil {
				return command.Usage(err)
			}
			place, err := nodePlace(out, at)
			if err != nil {
				return err
			}
			files, err := server.ClusterFiles(node.BusDir(data), nodes, place)
			if err != nil {
				return err
			}
			if out == "" {
				for _, n := range files {
					fmt.Fprintf(cmd.OutOrStdout(), "%s\n", n.Files[server.ConfigFile])
				}
				return nil
			}
			return writeNodes(cmd, files, out)
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().StringSliceVar(&addresses, "nodes", nil, "the nodes' addresses or names, three or five, each with or without a port")
	cmd.Flags().StringVar(&out, "out", "", "write a directory of files per node into this one, instead of printing the configurations")
	cmd.Flags().StringVar(&at, "at", "", "where a node will have its files (default where --out writes them, else /etc/nats)")
	return cmd
}

// nodePlace tells where a node will have its files.
func nodePlace(out, at string) (func(server.Node) string, error) {
	if at == "" && out == "" {
		at = "/etc/nats"
	}
	if at != "" {
		return func(server.Node) string { return at }, nil
	}
	out, err := filepath.Abs(out)
	return func(n server.Node) string { return filepath.Join(out, n.Name) }, err
}

// writeNodes writes every node's files. Keys of before are not replaced: a cluster may run with them.
func writeNodes(cmd *cobra.Command, nodes []server.NodeFiles, out string) error {
	for _, n := range nodes {
		dir := filepath.Join(out, n.Name)
		if err := os.MkdirAll(out, 0o700); err != nil {
			return fmt.Errorf("write the nodes' files: %w", err)
		}
		if err := os.Mkdir(dir, 0o700); errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%s is there already: name another directory with --out, or move this one away", dir)
		} else if err != nil {
			return fmt.Errorf("write the nodes' files: %w", err)
		}
		for name, data := range n.Files {
			if err := privatefile.Write(filepath.Join(dir, name), data); err != nil {
				return fmt.Errorf("write the nodes' files: %w", err)
			}
		}
		fmt.Fprintln(cmd.OutOrStdout(), dir)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "copy each to its node, start nats-server -c nats.conf there, then:\n  %s serve --nats %s\n",
		command.ProgramName("coordinator"), server.URLs(nodes))
	return nil
}
