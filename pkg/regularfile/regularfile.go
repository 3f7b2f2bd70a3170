// Package regularfile reads files of which a person gave the name, without trusting that it names a small file.
package regularfile

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// Open opens a regular file for reading, of any size, and returns what kind of file it is. It does not block.
func Open(name string) (f *os.File, info os.FileInfo, err error) {
	// A pipe without a writer would block open itself. For a regular file O_NONBLOCK changes nothing.
	f, err = os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Read returns the content of a file, and which file it is. It accepts regular files of at most max bytes, and does not
// block: a pipe or a device would never end.
func Read(name string, max int64) (text []byte, info os.FileInfo, err error) {
	f, info, err := Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if info.Size() > max {
		return nil, nil, fmt.Errorf("%s has %d bytes, more than %d", name, info.Size(), max)
	}
	if text, err = io.ReadAll(io.LimitReader(f, max+1)); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(text)) > max { // it grew meanwhile
		return nil, nil, fmt.Errorf("%s has more than %d bytes", name, max)
	}
	return text, info, nil
}
