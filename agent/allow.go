package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/probemesh/probemesh/pkg/probe"
)

// allowFile is where the state directory may hold an allow-list, an entry a line.
const allowFile = "allow"

// allowed is what this agent may probe: the entries of the flag and of the file together, or everything where there are none.
func allowed(state string, entries []string) (*probe.Allow, error) {
	path := filepath.Join(state, allowFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return probe.ParseAllow(entries)
	}
	if err != nil {
		return nil, fmt.Errorf("the allow-list: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line != "" {
			entries = append(entries, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("the allow-list: %w", err)
	}
	// A list from which everything was taken out would otherwise permit everything.
	if len(entries) == 0 {
		return nil, fmt.Errorf("the allow-list %s has no entries: write what this agent may probe, or remove the file", path)
	}
	allow, err := probe.ParseAllow(entries)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return allow, nil
}
