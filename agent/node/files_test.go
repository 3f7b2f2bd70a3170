//go:build unix

package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/probemesh/probemesh/agent/node"
)

// A pipe in place of a file would block the agent for ever, and an endless file would take all its memory.
func TestFilesThatAPersonNamesAreRegularAndBounded(t *testing.T) {
	for _, test := range []struct {
		name, want string
		make       func(path string) error
	}{
		{"a pipe", "not a regular file", func(path string) error { return syscall.Mkfifo(path, 0o600) }},
		{"a large file", "more than", func(path string) error {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
			return os.Truncate(path, 1<<30)
		}},
	} {
		state := t.TempDir()
		path := filepath.Join(state, node.AllowFile)
		if err := test.make(path); err != nil {
			t.Fatal(err)
		}
		if _, err := node.LoadAllow(state, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s as allow-list: %v, want %q", test.name, err, test.want)
		}
		if _, err := node.ReadToken("file:"+path, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s as token file: %v, want %q", test.name, err, test.want)
		}
	}
}
