package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// The blocks of commands in the README's section on servers. The stories run them as they stand there.
const (
	makePackagesBlock = iota
	coordinatorBlock
	inviteBlock
	serverBlock
	doctorBlock
	readmeBlocks
)

// readmeCommands are the commands that the README tells an operator to type, for this machine's architecture.
func readmeCommands(t testing.TB) [][]string {
	t.Helper()
	blocks, err := readREADME()
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

func readREADME() (blocks [][]string, err error) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		return nil, err
	}
	_, section, found := strings.Cut(string(data), "\n## Install on servers\n")
	section, _, ended := strings.Cut(section, "\n## ")
	if !found || !ended {
		return nil, errors.New("the README has no section on servers")
	}
	inside := false
	for line := range strings.Lines(strings.ReplaceAll(section, "_amd64", "_"+runtime.GOARCH)) {
		command, indented := strings.CutPrefix(line, "    ")
		switch {
		case indented && !inside:
			blocks = append(blocks, nil)
			fallthrough
		case indented:
			blocks[len(blocks)-1] = append(blocks[len(blocks)-1], strings.TrimSpace(command))
		}
		inside = indented
	}
	if len(blocks) != readmeBlocks {
		return nil, fmt.Errorf("the README's section on servers has %d blocks of commands, and the stories know %d: %q", len(blocks), readmeBlocks, blocks)
	}
	return blocks, nil
}

// makeAsREADME makes the packages with the README's own command, but for where they go.
func makeAsREADME(out string) error {
	blocks, err := readREADME()
	if err != nil {
		return err
	}
	command, found := strings.CutSuffix(blocks[makePackagesBlock][0], " --out dist")
	if !found || !strings.Contains(command, " --version "+firstVersion) {
		return fmt.Errorf("the README makes the packages with %q, and what follows there installs dist's %s", blocks[makePackagesBlock], firstVersion)
	}
	_, err = output(context.Background(), "../..", nil, "sh", "-c", command+` --out "$1"`, "sh", out)
	return err
}
