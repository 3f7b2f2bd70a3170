package node

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

// AllowFile is the file in the state directory that may hold an allow-list, one entry a line. "#" begins a comment.
const AllowFile = "allow"

// LoadAllow returns what the machine's owner permits this agent to probe: the given entries and those of AllowFile
// together. It returns nil, which permits everything, only where there are no entries and no file.
func LoadAllow(state string, entries []string) (*probe.Allow, error) {
	path := filepath.Join(state, AllowFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return probe.ParseAllow(entries)
	}
	if err != nil {
		return nil, fmt.Errorf("read the allow-list: %w", err)
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
		return nil, fmt.Errorf("read the allow-list: %w", err)
	}
	// Without this, removing the last entry would permit everything.
	if len(entries) == 0 {
		return nil, fmt.Errorf("the allow-list %s has no entries: add what may be probed, or remove the file", path)
	}
	allow, err := probe.ParseAllow(entries)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return allow, nil
}
