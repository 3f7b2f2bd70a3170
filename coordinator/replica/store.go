package replica

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/probemesh/probemesh/coordinator/mirror"
	"github.com/probemesh/probemesh/pkg/privatefile"
	"github.com/probemesh/probemesh/pkg/regularfile"
)

const (
	documentsMax = 20000
	// bytesMax bounds all documents together. With their ready answers they need some four times as much memory.
	bytesMax     = 64 << 20
	fileMax      = 16 << 20 // of one document with what is known of it
	documentsDir = "documents"
)

// store has the documents of the copy in memory and on disk. It is safe for concurrent use.
type store struct {
	dir     string
	writing [16]sync.Mutex // of documents by their files' names: a document has one writer at a time

	mu        sync.RWMutex
	documents map[string]*document // by address
	spelled   map[string]string    // addresses by themselves in lower case
	size      int
}

// document is a document of the copy. All but the checked time is immutable.
type document struct {
	mirror.Document
	links   []string
	answers answers

	mu      sync.Mutex
	checked time.Time // when the original last had this
}

func (d *document) checkedAt() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.checked
}

// check records when the original had this document. Answers may arrive out of order, so an earlier time is ignored.
func (d *document) check(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at.After(d.checked) {
		d.checked = at
	}
}

// size is in bytes.
func (d *document) size() int {
	n := len(d.Body)
	for _, link := range d.links {
		n += len(link)
	}
	return n
}

// record is what a file says before the document's body.
type record struct {
	Address  string    `json:"address"`
	Type     string    `json:"type,omitempty"`
	Location string    `json:"location,omitempty"`
	ETag     string    `json:"etag,omitempty"`
	Links    []string  `json:"links,omitempty"`
	Checked  time.Time `json:"checked"`
}

// openStore reads the documents in a directory. Files that cannot be read are removed: they are copies.
func openStore(dir string) (*store, error) {
	s := &store{dir: filepath.Join(dir, documentsDir), documents: map[string]*document{}, spelled: map[string]string{}}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the directory of the copy: %w", err)
	}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name := filepath.Join(s.dir, f.Name())
		d, err := readDocument(name)
		if err != nil || s.file(d.Address) != name || s.put(d) != nil {
			_ = os.Remove(name)
		}
	}
	return s, nil
}

func readDocument(name string) (*document, error) {
	data, _, err := regularfile.Read(name, fileMax)
	if err != nil {
		return nil, err
	}
	head, body, found := bytes.Cut(data, []byte("\n"))
	var r record
	if err := json.Unmarshal(head, &r); err != nil || !found || !mirror.Copied(r.Address) {
		return nil, errors.Join(errors.New("no document"), err)
	}
	return &document{
		Document: mirror.Document{Address: r.Address, Type: r.Type, Location: r.Location, ETag: r.ETag, Body: body},
		links:    r.Links, checked: r.Checked,
	}, nil
}

// file is the path of a document's file.
func (s *store) file(address string) string {
	sum := sha256.Sum256([]byte(address))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:16]))
}

var (
	errFull = errors.New("the copy is full")
	// errOlder reports a document that was requested before the one that the copy has.
	errOlder = errors.New("the copy has a newer document")
)

// put has a document in memory.
func (s *store) put(d *document) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.documents[d.Address]
	size := s.size + d.size()
	if old != nil {
		size -= old.size()
		// It would soon count as confirmed, by the answer that the newer one has not changed.
		if old.checkedAt().After(d.checkedAt()) {
			return errOlder
		}
	}
	if size > bytesMax || old == nil && len(s.documents) >= documentsMax {
		return errFull
	}
	s.size, s.documents[d.Address] = size, d
	s.spelled[strings.ToLower(d.Address)] = d.Address
	return nil
}

// writer returns what a writer of the document's file holds. The walk, what readers ask for and what is read first may
// come with the same document at the same time.
func (s *store) writer(address string) *sync.Mutex {
	sum := sha256.Sum256([]byte(address))
	return &s.writing[int(sum[0])%len(s.writing)]
}

// add stores a document, in memory and on disk, unless it was requested before the one that is there: the walk may wait
// long for an answer that a reader got meanwhile.
func (s *store) add(d *document) error {
	writer := s.writer(d.Address)
	writer.Lock()
	defer writer.Unlock()
	if err := s.put(d); errors.Is(err, errOlder) {
		return nil
	} else if err != nil {
		return err
	}
	head, err := json.Marshal(record{d.Address, d.Type, d.Location, d.ETag, d.links, d.checkedAt()})
	if err != nil {
		return err
	}
	return privatefile.Write(s.file(d.Address), append(append(head, '\n'), d.Body...))
}

// remove removes a document.
func (s *store) remove(address string) {
	writer := s.writer(address)
	writer.Lock()
	defer writer.Unlock()
	s.mu.Lock()
	if d := s.documents[address]; d != nil {
		s.size -= d.size()
		delete(s.documents, address)
		delete(s.spelled, strings.ToLower(address))
	}
	s.mu.Unlock()
	_ = os.Remove(s.file(address)) // if it stays, the next walk after a restart removes it
}

// get returns the document at an address, or nil. The names of hosts may be in another case, as on the original.
func (s *store) get(address string) *document {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d := s.documents[address]; d != nil {
		return d
	}
	for _, prefix := range []string{"/hosts/", "/badge/", "/api/v1/hosts/"} {
		if strings.HasPrefix(address, prefix) {
			return s.documents[s.spelled[strings.ToLower(address)]]
		}
	}
	return nil
}

// addresses lists those of all documents.
func (s *store) addresses() (out []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for address := range s.documents {
		out = append(out, address)
	}
	return out
}
