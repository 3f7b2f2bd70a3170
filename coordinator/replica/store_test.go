package replica

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/mirror"
)

// An original without end fills neither memory nor disk, and damaged files do not stop a start.
func TestTheStoreIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 8<<20)
	stored := 0
	for _, address := range []string{"/posts/1", "/posts/2", "/posts/3", "/posts/4", "/posts/5", "/posts/6", "/posts/7",
		"/posts/8", "/posts/9"} {
		switch err := s.put(&document{Document: mirror.Document{Address: address, Body: body}}); {
		case err == nil:
			stored++
		case !errors.Is(err, errFull):
			t.Fatal(err)
		}
	}
	if stored != bytesMax/len(body) {
		t.Errorf("%d documents of %d bytes were stored", stored, len(body))
	}
	s.remove("/posts/1")
	small := &document{Document: mirror.Document{Address: "/posts/1", Type: "text/html", Body: []byte("x")}}
	if err := s.add(small); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{"x": "{", s.file("/ack/1"): `{"address": "/ack/1"}` + "\nx"} {
		if err := os.WriteFile(filepath.Join(s.dir, filepath.Base(name)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = openStore(dir); err != nil || len(s.documents) != 1 || string(s.get("/posts/1").Body) != "x" {
		t.Errorf("after a restart: %v %v", s.documents, err)
	}
}

// A late answer to an earlier request does not replace the answer to a later one. If it did, the next "not modified"
// would confirm the older document.
func TestALateAnswerReplacesNoLaterOne(t *testing.T) {
	t.Parallel()
	s, err := openStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	answer := func(body string, asked time.Time) *document {
		return &document{Document: mirror.Document{Address: "/", Type: "text/html", Body: []byte(body)}, checked: asked}
	}
	for _, d := range []*document{answer("is down", asked.Add(time.Second)), answer("is up", asked)} {
		if err := s.add(d); err != nil {
			t.Fatal(err)
		}
	}
	c := copied{Replica: &Replica{store: s}}
	c.Same("/", asked)
	stored, err := readDocument(s.file("/"))
	if err != nil || string(stored.Body) != "is down" || string(s.get("/").Body) != "is down" ||
		!s.get("/").checkedAt().Equal(asked.Add(time.Second)) {
		t.Errorf("stored %q, in memory %q of %v: %v", stored.Body, s.get("/").Body, s.get("/").checkedAt(), err)
	}
}

// The walk and a reader may bring the same document at the same time: both are stored, and the file is whole.
func TestADocumentHasOneWriterAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for n := range 8 {
		writers.Go(func() {
			body := bytes.Repeat([]byte{byte('a' + n)}, 1<<10<<n)
			for range 10 {
				d := &document{Document: mirror.Document{Address: "/", Type: "text/html", Body: body}}
				if err := s.add(d); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	last := s.get("/")
	again, err := openStore(dir)
	if err != nil || again.get("/") == nil || !bytes.Equal(again.get("/").Body, last.Body) {
		t.Errorf("the disk has another document than the memory: %v", err)
	}
	if files, err := os.ReadDir(s.dir); err != nil || len(files) != 1 {
		t.Errorf("%v %v", files, err)
	}
}
