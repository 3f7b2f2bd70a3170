// Package export keeps a static copy of a status site in a directory, for any web server. The directory has the site's
// documents as files, and each page shows the time at which it was copied.
//
// A new version of the copy is written beside the one that readers see: unchanged files are links to those of the
// version before. When it is complete and on disk, the symbolic link that all names in the directory lead through is
// replaced, which is atomic: a reader sees one version or the other, and after a crash the one that was complete.
package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/mirror"
	"github.com/probemesh/probemesh/pkg/regularfile"
)

// Exporter copies a site into a directory. It is not safe for concurrent use.
type Exporter struct {
	Dir    string
	Origin *mirror.Origin
	Now    func() time.Time

	tree *tree
}

// Open returns an Exporter for the directory, which it creates if needed. No two may have the same directory.
func Open(dir string, o *mirror.Origin) (*Exporter, error) {
	t, err := openTree(dir)
	if err != nil {
		return nil, err
	}
	return &Exporter{Dir: dir, Origin: o, Now: time.Now, tree: t}, nil
}

// Close releases the directory.
func (e *Exporter) Close() { e.tree.close() }

// NoticeFile is the name of the file, in the directory, whose Markdown is shown on top of every page.
const NoticeFile = "notice.md"

// noticeMax bounds it in bytes.
const noticeMax = 64 << 10

// restampAfter is the age at which a page about the present is written again although only its time changed: without a
// script it cannot show that the site was read since.
const restampAfter = 5 * time.Minute

// Report says what an export did.
type Report struct {
	Files, Written, Removed int
	Wrote                   bool    // something was written, or it is not known: pages of the archive may have changed
	Failed                  []error // of documents that could not be read; what the copy has of them stays
}

// Export brings the copy up to date. Unless all is set, it does not ask again for what changes only when somebody
// writes.
func (e *Exporter) Export(ctx context.Context, all bool) (Report, error) {
	notice, err := e.notice()
	if err != nil {
		return Report{}, err
	}
	return e.export(ctx, all, notice)
}

// export is Export with this notice.
func (e *Exporter) export(ctx context.Context, all bool, notice string) (Report, error) {
	next, err := e.tree.begin()
	if err != nil {
		return Report{}, err
	}
	defer next.discard()
	u := e.update(next, notice)
	u.looked = true
	walked, err := e.Origin.Walk(ctx, u, all || !next.complete())
	if err != nil {
		return Report{}, err
	}
	for address := range next.before {
		if err := u.retain(address, walked.Seen[address]); err != nil {
			return Report{}, err
		}
	}
	if err := next.publish(u.at); err != nil {
		return Report{}, err
	}
	return Report{len(next.files), u.written, u.removed, u.wrote, walked.Failed}, nil
}

// outOfDateAfter is the age at which badges and API answers in a copy, which show no time, become unknown.
const outOfDateAfter = 2 * time.Minute

// Announce puts the notice on the pages of the present copy, while the site cannot be read. If the copy is out of date,
// its badges and API answers become unknown. It reports whether that changed anything.
func (e *Exporter) Announce() (bool, error) {
	notice, err := e.notice()
	if err != nil {
		return false, err
	}
	return e.announce(notice)
}

// announce is Announce with this notice.
func (e *Exporter) announce(notice string) (bool, error) {
	next, err := e.tree.begin()
	if err != nil {
		return false, err
	}
	defer next.discard()
	u := e.update(next, notice)
	if copied := e.tree.copied(); u.at.Sub(copied) >= outOfDateAfter {
		u.asOf = copied
	}
	for address := range next.before {
		if err := u.retain(address, true); err != nil {
			return false, err
		}
	}
	return u.written > 0, next.publish(time.Time{})
}

// notice reads the text for the top of every page; "" if there is none.
func (e *Exporter) notice() (string, error) {
	text, _, err := regularfile.Read(filepath.Join(e.Dir, NoticeFile), noticeMax)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

func (e *Exporter) update(v *version, notice string) *update {
	u := &update{Exporter: e, version: v, notice: notice, at: e.Now()}
	if notice != "" {
		u.noticeSum = digest([]byte(notice))
	}
	return u
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// update is one export; it implements mirror.Copy.
type update struct {
	*Exporter
	version          *version
	notice           string
	noticeSum        string // its digest; "": none
	at               time.Time
	written, removed int
	wrote            bool
	looked           bool      // the site was read
	asOf             time.Time // of a copy that is out of date; zero: it is not
}

// Known returns what the version before has of an address. What it has with another notice is known all the same:
// retain renders it again.
func (u *update) Known(address string) (mirror.Known, bool) {
	f, ok := u.version.before[address]
	return f.Known, ok
}

// Same does nothing: retain keeps what was not stored.
func (u *update) Same(string, time.Time) {}

// Store writes a document, unless the version before has the same.
func (u *update) Store(d mirror.Document, links []string, _ time.Time) error {
	name, ok := mirror.File(d.Address)
	if !ok {
		return fmt.Errorf("no file can have the address %q", d.Address)
	}
	next := file{
		Known: mirror.Known{ETag: d.ETag, Links: links}, Name: name, Page: d.IsPage() || d.Location != "",
		Notice: u.noticeSum, Written: u.at.UTC().Truncate(time.Second),
	}
	same, err := u.render(d, time.Time{})
	if err != nil {
		return err
	}
	next.Sum = digest(same)
	if old, ok := u.version.before[d.Address]; ok && old.Sum == next.Sum && old.Notice == next.Notice &&
		!u.outdated(d.Address, old) {
		next.Written = old.Written
		return u.version.link(d.Address, next)
	}
	data, err := u.render(d, u.at)
	if err != nil {
		return err
	}
	u.written++
	u.wrote = u.wrote || mirror.OfArchive(d.Address)
	return u.version.write(d.Address, next, data)
}

// markOutOfDate retains a badge or an API answer, with every status unknown.
func (u *update) markOutOfDate(address string, f file) error {
	data, err := u.version.read(f.Name)
	if err != nil {
		return err
	}
	out := mirror.OutOfDate(mirror.Document{Address: address, Body: data}, u.asOf)
	if bytes.Equal(out.Body, data) {
		return u.version.link(address, f)
	}
	f.ETag, f.Sum = "", "" // the next export writes it again
	u.written++
	return u.version.write(address, f, out.Body)
}

// outdated reports whether a page must be written again with a newer time.
func (u *update) outdated(address string, f file) bool {
	age := u.at.Sub(f.Written)
	return u.looked && mirror.Live(address) && (age >= restampAfter || age <= -restampAfter)
}

// render returns the bytes of a document's file.
func (u *update) render(d mirror.Document, at time.Time) ([]byte, error) {
	switch {
	case d.Location != "":
		return mirror.Redirect(d.Address, d.Location), nil
	case d.Address == mirror.WidgetAddress: // in a copy it reads how old that is
		return bytes.Replace(d.Body, []byte("copied = false"), []byte("copied = true"), 1), nil
	case !d.IsPage():
		return d.Body, nil
	}
	p, err := mirror.ParsePage(d.Body)
	if err != nil {
		return nil, err
	}
	p.Freeze(u.Origin, d.Address, at)
	p.SetNotice(u.notice)
	return p.Render(), nil
}

// retain keeps a file of the version before that was not stored again, or leaves it out if its document is gone.
func (u *update) retain(address string, seen bool) error {
	if _, stored := u.version.files[address]; stored {
		return nil
	}
	if !seen {
		u.removed++
		u.version.changed = true
		return nil
	}
	f := u.version.before[address]
	if !u.asOf.IsZero() && !f.Page {
		return u.markOutOfDate(address, f)
	}
	outdated := u.outdated(address, f)
	if f.Notice == u.noticeSum && !outdated || !f.Page {
		return u.version.link(address, f)
	}
	data, err := u.version.read(f.Name)
	if err != nil {
		return err
	}
	p, err := mirror.ParsePage(data)
	if err != nil {
		return err
	}
	p.SetNotice(u.notice)
	f.Notice = u.noticeSum
	if outdated {
		p.SetTime(u.at)
		f.Written = u.at.UTC().Truncate(time.Second)
	}
	u.written++
	return u.version.write(address, f, p.Render())
}
