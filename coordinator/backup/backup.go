// Package backup writes and restores backups of a coordinator.
//
// A backup is a directory of files and a manifest with their checksums. The manifest is written last: a directory
// without one is a backup that was interrupted. A part of a backup is one file in it: a stream as the NATS server
// snapshots it, or a file of the coordinator's data directory.
//
// The running coordinator's Exporter hands out the parts, Save writes them, Open verifies what Save wrote, and Restore
// makes a data directory of it.
package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"
)

// Format is the layout that this version writes, and the newest that it can read.
const Format = 1

const (
	manifestName = "manifest.json"
	manifestMax  = 16 << 20 // bytes; a file takes about a hundred, so that is 160,000 files
)

// Prefixes of the parts' names.
const (
	streamPrefix = "streams/"
	filePrefix   = "files/"
)

// Manifest lists the files of a backup.
type Manifest struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of the program that saved it
	Made    time.Time `json:"made"`    // when it was begun: all that happened before is in it
	Files   []File    `json:"files"`
	Sum     string    `json:"sum"` // SHA-256 of this manifest with an empty sum
}

// File is one file of a backup.
type File struct {
	Name   string `json:"name"` // with slashes, below the backup's directory
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Size is the size of all files in bytes.
func (m Manifest) Size() (bytes int64) {
	for _, f := range m.Files {
		bytes += f.Size
	}
	return bytes
}

func (m Manifest) checksum() (string, error) {
	m.Sum = ""
	data, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// pathOf returns the path of a file of the backup in dir. It refuses names that lead out of the directory: a manifest
// may be forged.
func pathOf(dir, name string) (string, error) {
	local := filepath.FromSlash(name)
	if !filepath.IsLocal(local) || name == manifestName {
		return "", fmt.Errorf("%q is not a valid file name in a backup", name)
	}
	return filepath.Join(dir, local), nil
}
