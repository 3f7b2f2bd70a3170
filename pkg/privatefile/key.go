package privatefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
)

// KeySize is the size of a Key in bytes.
const KeySize = 32

// Key reads a random key from a file, or creates the file. A file of another size is replaced.
func Key(path string) ([]byte, error) {
	key, err := Read(path)
	if err == nil && len(key) == KeySize {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read a key: %w", err)
	}
	key = make([]byte, KeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("create a key: %w", err)
	}
	if err := Write(path, key); err != nil {
		return nil, fmt.Errorf("create a key: %w", err)
	}
	return key, nil
}
