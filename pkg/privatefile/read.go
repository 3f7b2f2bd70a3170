package privatefile

import (
	"fmt"
	"runtime"

	"github.com/probemesh/probemesh/pkg/regularfile"
)

// secretMax bounds what is read as a secret: keys and credentials have a few kilobytes.
const secretMax = 1 << 20

// Read returns the content of a file that holds a secret. It fails if others can read the file: the secret may be known
// already, and the operator should decide whether to replace it.
func Read(path string) ([]byte, error) {
	text, info, err := regularfile.Read(path, secretMax)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s holds a secret key and others can read it: chmod 600 %s", path, path)
	}
	return text, nil
}
