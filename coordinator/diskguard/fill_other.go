//go:build !linux

package diskguard

import (
	"crypto/rand"
	"io"
	"os"
)

// fill makes the file take so many bytes of the disk: of a kind that no file system makes smaller.
func fill(f *os.File, size int64) error {
	_, err := io.CopyN(f, rand.Reader, size)
	return err
}
