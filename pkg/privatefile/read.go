package privatefile

import (
	"fmt"
	"os"
	"runtime"
)

// Read returns the content of a file that holds a secret. It fails if others can read the file: the secret may be known
// already, and the operator should decide whether to replace it.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s holds a secret key and others can read it: chmod 600 %s", path, path)
	}
	return os.ReadFile(path)
}
