package replica

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/mirror"
)

// openAt opens a replica of what is at an address, which was heard just now.
func openAt(t *testing.T, from, dir string) *Replica {
	t.Helper()
	base, err := url.Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(Config{
		Origin: &mirror.Origin{Base: base, Client: mirror.NewClient()}, Dir: dir, Silent: time.Hour, Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = r.lock.Release() // as a process that ends: nothing here calls Run
	r.heard = time.Now()
	return r
}

func addPage(t *testing.T, r *Replica, checked time.Time) {
	t.Helper()
	page := mirror.Document{Address: "/", Type: "text/html", Body: []byte("<!doctype html><title>Status</title>")}
	if err := r.store.add(&document{Document: page, checked: checked}); err != nil {
		t.Fatal(err)
	}
}

// An open page is confirmed with the original again and again. If that fails for long, it is of the time at which the
// original last had it, although no change was announced.
func TestAnOpenPageThatCannotBeConfirmedIsOutOfDate(t *testing.T) {
	asked := make(chan struct{}, 100)
	original := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		http.Error(w, "busy", http.StatusServiceUnavailable)
	}))
	t.Cleanup(original.Close)
	r := openAt(t, original.URL, t.TempDir())
	checked := time.Now().Add(-2 * doubtAfter)
	addPage(t, r, checked)
	o := &reader{replica: r, address: "/", confirmed: time.Now()}
	if at := o.shown(); !at.Equal(r.heard) {
		t.Errorf("at once it is of %v", at)
	}
	<-asked
	o.confirmed = time.Now().Add(-2 * r.silent)
	if at := o.shown(); !at.Equal(checked) {
		t.Errorf("after a time without an answer it is of %v, want %v", at, checked)
	}
	addPage(t, r, time.Now())
	if at := o.shown(); !at.Equal(r.heard) || time.Since(o.confirmed) > r.silent {
		t.Errorf("confirmed, it is of %v", at)
	}
}

// A change that follows another one that could not be read yet does not begin a new time of grace, and a page that left
// the copy is not current either.
func TestAnOpenPageStaysOutOfDateWhenItChangesAgain(t *testing.T) {
	r := openAt(t, "http://127.0.0.1:9", t.TempDir())
	read := time.Now().Add(-3 * r.silent)
	addPage(t, r, read)
	o := &reader{replica: r, address: "/", confirmed: time.Now().Add(-2 * r.silent)}
	for range 3 {
		r.change = time.Now()
		if at := o.shown(); !at.Equal(read) {
			t.Errorf("after a change that cannot be read it is of %v, want %v", at, read)
		}
	}
	r.store.remove("/")
	if at := o.shown(); time.Since(at) <= r.silent {
		t.Errorf("after it left the copy it is of %v", at)
	}
}

// Documents of which nobody knows the site are not shown as those of another one.
func TestAViewWithoutItsStateIsRemoved(t *testing.T) {
	dir := t.TempDir()
	r := openAt(t, "http://one.example.net", dir)
	addPage(t, r, time.Now())
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	if openAt(t, "http://one.example.net", dir).store.get("/") == nil {
		t.Fatal("a restart loses the page")
	}
	if err := os.Remove(filepath.Join(dir, stateName)); err != nil {
		t.Fatal(err)
	}
	if openAt(t, "http://two.example.net", dir).store.get("/") != nil {
		t.Error("the page of another site is shown")
	}
}
