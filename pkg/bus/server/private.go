package server

import (
	"fmt"
	"os"
	"runtime"
)

// readPrivate reads a file with a secret in it, and refuses one that others can read: whoever read it may have it still.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s holds a secret key and others can read it: chmod 600 %s", path, path)
	}
	return os.ReadFile(path)
}
