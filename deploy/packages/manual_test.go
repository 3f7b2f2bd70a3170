package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// installation holds the commands of deploy/docs/install.md, which the tests run as they stand there. Only the
// architecture is this machine's.
type installation struct {
	makePackages []string
	coordinator  []string // on the coordinator's machine
	invite       []string // there, once for each server
	agent        []string // on the server, with TOKEN for what invite printed
	examine      []string // on the server: doctor
	show         []string // on the server: status
}

// readInstallation fails the test if install.md cannot be read as an installation.
func readInstallation(t testing.TB) installation {
	t.Helper()
	i, err := parseInstallation()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func parseInstallation() (i installation, err error) {
	const file = "../docs/install.md"
	data, err := os.ReadFile(file)
	if err != nil {
		return i, err
	}
	text := strings.ReplaceAll(string(data), "_amd64", "_"+runtime.GOARCH)
	for heading, blocks := range map[string][]*[]string{
		"Make the packages":              {&i.makePackages},
		"Install the coordinator":        {&i.coordinator},
		"Install the agents":             {&i.invite, &i.agent},
		"When an agent does not connect": {&i.examine, &i.show},
	} {
		found := fencedCommands(text, heading)
		if len(found) != len(blocks) {
			return i, fmt.Errorf("%s, %q: %d blocks of commands, want %d", file, heading, len(found), len(blocks))
		}
		for n, block := range blocks {
			*block = found[n]
		}
	}
	return i, nil
}

// fencedCommands returns the lines of each block of shell commands in a section of a Markdown file.
func fencedCommands(text, heading string) (blocks [][]string) {
	_, section, _ := strings.Cut(text, "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for {
		_, rest, found := strings.Cut(section, "\n```sh\n")
		if !found {
			return blocks
		}
		var block string
		block, section, _ = strings.Cut(rest, "\n```")
		blocks = append(blocks, strings.Split(block, "\n"))
	}
}

// makeAsManual makes the packages with the manual's own command, in a directory of the test.
func makeAsManual(out string) error {
	manual, err := parseInstallation()
	if err != nil {
		return err
	}
	command, found := strings.CutSuffix(manual.makePackages[0], " --out dist")
	if !found || !strings.Contains(command, " --version "+firstVersion) {
		return fmt.Errorf("install.md makes the packages with %q, then installs version %s from dist",
			manual.makePackages[0], firstVersion)
	}
	_, err = output(context.Background(), "../..", nil, "sh", "-c", command+` --out "$1"`, "sh", out)
	return err
}
