package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/spool"
)

func open(t testing.TB, c spool.Config) *spool.Spool {
	t.Helper()
	s, err := spool.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func record(n int) spool.Record {
	payload := bytes.Repeat([]byte{byte('a' + n%26)}, 100+n%50)
	return spool.Record{ID: fmt.Sprintf("id-%06d", n), Opened: time.Now(), Count: 3, Payload: payload}
}

func appendTo(t testing.TB, s *spool.Spool, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if err := s.Append([]spool.Record{record(n)}); err != nil {
			t.Fatal(err)
		}
	}
}

// left returns the numbers of the records that wait. It fails where one differs from what was appended.
func left(t testing.TB, s *spool.Spool) (numbers []int) {
	t.Helper()
	records, err := s.Read(0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		var n int
		fmt.Sscanf(r.ID, "id-%d", &n)
		if want := record(n); r.ID != want.ID || !bytes.Equal(r.Payload, want.Payload) || r.Count != want.Count {
			t.Fatalf("read %s with %q", r.ID, r.Payload)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// image copies the directory, as a kill leaves it.
func image(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "image")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func same(t *testing.T, got []int, from, to int) {
	t.Helper()
	var want []int
	for n := from; n <= to; n++ {
		want = append(want, n)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("left are %v, want %d to %d", got, from, to)
	}
}

func TestUnacknowledgedRecordsSurvive(t *testing.T) {
	c := spool.Config{Dir: filepath.Join(t.TempDir(), "spool")}
	s := open(t, c)
	appendTo(t, s, 1, 10)
	if err := s.Ack(1, 2, 3, 9); err != nil {
		t.Fatal(err)
	}
	dir := image(t, c.Dir)
	again := open(t, spool.Config{Dir: dir}) // not closed, as after kill -9
	if got := fmt.Sprint(left(t, again)); got != "[4 5 6 7 8 10]" || again.Stats().Records != 6 {
		t.Errorf("left are %v, %+v", got, again.Stats())
	}
	records, err := again.Read(5, 2)
	if err != nil || len(records) != 2 || records[0].Index != 6 || !records[0].Earlier || records[0].ByWallClock {
		t.Errorf("read %+v, %v", records, err)
	}
	if again.Ack(4, 5, 6, 7, 8, 10) != nil || len(left(t, again)) != 0 || len(segments(t, dir)) > 1 {
		t.Errorf("after all is acknowledged: %+v, %v", again.Stats(), segments(t, dir))
	}
	appendTo(t, again, 11, 11)
	if records, _ := again.Read(0, 9); len(records) != 1 || records[0].Index != 11 || records[0].Earlier {
		t.Errorf("the next is %+v", records)
	}
}

func TestAcknowledgedSpaceIsFreed(t *testing.T) {
	s := open(t, spool.Config{Dir: t.TempDir()})
	for n := range 1000 {
		appendTo(t, s, n+1, n+1)
		if err := s.Ack(uint64(n + 1)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Stats(); got.Bytes > 80<<10 || got.Records != 0 || got.Dropped != 0 {
		t.Errorf("after 1000 acknowledged records: %+v", got)
	}
}

func TestFullSpoolDropsAndCountsTheOldest(t *testing.T) {
	c := spool.Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s := open(t, c)
	const all = 10000
	for n := 1; n <= all; n += 100 {
		var records []spool.Record
		for i := range 100 {
			records = append(records, record(n+i))
		}
		if err := s.Append(records); err != nil {
			t.Fatal(err)
		}
	}
	got := left(t, s)
	same(t, got, got[0], all)
	if st := s.Stats(); st.Bytes > c.MaxBytes || st.Dropped != uint64(3*(got[0]-1)) || st.Records != len(got) ||
		len(got) < all/3 {
		t.Errorf("%+v with %d left", st, len(got))
	}
	again := open(t, spool.Config{Dir: image(t, c.Dir), MaxBytes: c.MaxBytes})
	same(t, left(t, again), got[0], all)
	if again.Stats().Damaged != 0 {
		t.Errorf("what was dropped counts as damaged: %+v", again.Stats())
	}
}

func TestDirectoryIsLocked(t *testing.T) {
	c := spool.Config{Dir: t.TempDir()}
	s := open(t, c)
	if _, err := spool.Open(c); !errors.Is(err, spool.ErrLocked) {
		t.Errorf("opening it twice: %v", err)
	}
	s.Close()
	open(t, c)
}

func TestOnlyTheOwnerHasAccess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	appendTo(t, open(t, spool.Config{Dir: dir}), 1, 1)
	for path, want := range map[string]os.FileMode{
		dir: 0o700, filepath.Join(dir, "lock"): 0o600, segments(t, dir)[0]: 0o600,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// A record's age is measured by the time since the machine was started, and after a restart by the wall clock.
func TestAges(t *testing.T) {
	uptime := time.Hour
	clock := func(boot string) spool.Clock {
		return spool.Clock{Boot: boot, Uptime: func() time.Duration { return uptime }}
	}
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, Clock: clock("one")})
	old := record(1)
	old.Opened = time.Now().Add(-time.Minute)
	if err := s.Append([]spool.Record{old}); err != nil {
		t.Fatal(err)
	}
	uptime += 10 * time.Minute
	for boot, want := range map[string]time.Duration{"one": 11 * time.Minute, "two": time.Minute} {
		got, err := open(t, spool.Config{Dir: image(t, dir), Clock: clock(boot)}).Read(0, 1)
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		if off := time.Since(got[0].Opened) - want; off.Abs() > 30*time.Second ||
			got[0].ByWallClock != (boot == "two") {
			t.Errorf("boot %s: %v old, byWallClock %v", boot, time.Since(got[0].Opened), got[0].ByWallClock)
		}
	}
}

func TestBadInput(t *testing.T) {
	s := open(t, spool.Config{Dir: t.TempDir()})
	for _, r := range []spool.Record{{ID: strings.Repeat("x", 256)}, {Payload: make([]byte, spool.RecordMax+1)}} {
		if err := s.Append([]spool.Record{record(1), r}); !errors.Is(err, spool.ErrTooLarge) {
			t.Errorf("error %v", err)
		}
	}
	if err := s.Ack(0, 1, 77, 1<<63); err != nil || len(left(t, s)) != 0 {
		t.Errorf("an ack of nothing: %v", err)
	}
	if _, err := spool.Open(spool.Config{Dir: t.TempDir(), MaxBytes: 1}); err == nil {
		t.Error("a spool of one byte is open")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := spool.Open(spool.Config{Dir: file}); err == nil {
		t.Error("a file is open as a directory")
	}
}

// BenchmarkAppend appends and acknowledges one batch of a ten-host mesh, on disk.
func BenchmarkAppend(b *testing.B) {
	s := open(b, spool.Config{Dir: b.TempDir()})
	payload := make([]byte, 500)
	for b.Loop() {
		r := []spool.Record{{ID: "id", Opened: time.Now(), Count: 6, Payload: payload}}
		if err := errors.Join(s.Append(r), s.Ack(r[0].Index)); err != nil {
			b.Fatal(err)
		}
	}
}
