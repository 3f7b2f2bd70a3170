package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExport copies the site of a running coordinator once and continuously, and puts a notice on both copies when the
// coordinator is dead.
func TestExport(t *testing.T) {
	t.Parallel()
	m := newTestbed(t)
	data, once, watched := m.path("d"), m.path("once"), m.path("watched")
	m.startCoordinator(data)
	out := m.must(m.coordinator, "export", once, "--data", data)
	if !strings.Contains(out, "written, 0 removed") {
		t.Errorf("export says %q", out)
	}
	m.start(m.coordinator, "export", watched, "--data", data, "--watch")
	read := func(parts ...string) string {
		text, _ := os.ReadFile(filepath.Join(parts...))
		return string(text)
	}
	m.eventually("the watched copy is there", func() bool { return read(watched, "index.html") != "" })
	for _, dir := range []string{once, watched} {
		if page := read(dir, "matrix", "index.html"); !strings.Contains(page, "Copy of ") {
			t.Errorf("%s has the page %.200s", dir, page)
		}
		if !strings.Contains(read(dir, "feed.atom"), "<link") || !strings.Contains(read(dir, "badge.svg"), "<svg") {
			t.Errorf("%s has no feed or no badge", dir)
		}
	}
	id := strings.TrimSpace(m.must(m.coordinator, "post", "publish", "--data", data, "--title", "News", "--text", "Text."))
	m.eventually("the post is copied", func() bool { return read(watched, "posts", id, "index.html") != "" })

	m.stop(m.serve)
	for _, dir := range []string{once, watched} {
		if err := os.WriteFile(filepath.Join(dir, "notice.md"), []byte("Call **us**."), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := m.run(m.coordinator, "export", once, "--data", data)
	if err == nil || !strings.Contains(out, "no coordinator runs") || !strings.Contains(out, "the notice as it is now") {
		t.Errorf("without a coordinator export says %q (%v)", out, err)
	}
	for _, dir := range []string{once, watched} {
		m.eventually("the notice is on "+dir, func() bool {
			return strings.Contains(read(dir, "matrix", "index.html"), "Call <strong>us</strong>.")
		})
	}
}
