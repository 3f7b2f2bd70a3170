//go:build !linux

package diskguard

import (
	"crypto/rand"
	"io"
	"os"
)

// fill writes size bytes that no file system can compress or leave out.
func fill(f *os.File, size int64) error {
	_, err := io.CopyN(f, rand.Reader, size)
	return err
}
