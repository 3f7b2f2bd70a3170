package export

import (
	"path/filepath"
	"testing"
)

// After a crash a directory is there only if the one that it is in was synchronized, too.
func TestDirectoriesOfDirectoriesAreSynchronized(t *testing.T) {
	tree, err := openTree(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer tree.close()
	v, err := tree.begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.write("/api/v1/hosts/x", file{Name: "api/v1/hosts/x.json"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"api", "api/v1", "api/v1/hosts"} {
		if !v.made[filepath.Join(v.dir(), dir)] {
			t.Errorf("%s is not synchronized", dir)
		}
	}
}
