package node

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/regularfile"
)

// AllowFile is the file in the state directory that may hold an allow-list, one entry a line. "#" begins a comment.
const AllowFile = "allow"

// allowMax bounds the allow-list: tens of thousands of entries fit.
const allowMax = 1 << 20

// LoadAllow returns what the machine's owner permits this agent to probe: the given entries and those of AllowFile
// together. It returns nil, which permits everything, only where there are no entries and no file.
func LoadAllow(state string, entries []string) (*probe.Allow, error) {
	path := filepath.Join(state, AllowFile)
	text, _, err := regularfile.Read(path, allowMax)
	if errors.Is(err, fs.ErrNotExist) {
		return probe.ParseAllow(entries)
	}
	if err != nil {
		return nil, fmt.Errorf("read the allow-list: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			entries = append(entries, line)
		}
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
