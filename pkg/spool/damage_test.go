package spool_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/spool"
)

const headerSize = 56 // of a record in a file, before its id

// model is a second implementation to compare a spool with: the numbers of the records that wait and of those
// acknowledged.
type model struct {
	t       *rapid.T
	base    testing.TB
	dir     string
	spool   *spool.Spool
	last    int
	waiting map[int]uint64 // to the index
	stored  map[int]bool
	dropped uint64
}

const smallest = spool.MinMaxBytes

func (m *model) open(dir string) {
	s, err := spool.Open(spool.Config{Dir: dir, MaxBytes: smallest})
	if err != nil {
		m.t.Fatal(err)
	}
	if m.spool != nil {
		m.spool.Close()
	}
	m.dir, m.spool, m.dropped = dir, s, 0
}

// content returns every segment file.
func content(t *rapid.T, dir string) map[string][]byte {
	out := map[string][]byte{}
	files, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = data
	}
	return out
}

// write makes a directory of segment files, as a dead process or a power cut leaves it.
func (m *model) write(files map[string][]byte) string {
	dir := m.base.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	return dir
}

func (m *model) append(t *rapid.T) {
	records := make([]spool.Record, rapid.IntRange(1, 20).Draw(t, "records"))
	for i := range records {
		records[i] = record(m.last + 1 + i)
	}
	if err := m.spool.Append(records); err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		m.waiting[m.last+1+i] = r.Index
	}
	m.last += len(records)
	m.dropOldest()
}

// dropOldest removes from the model as many observations as the spool reports dropped, oldest first.
func (m *model) dropOldest() {
	const each = 3 // observations in a record
	for _, n := range slices.Sorted(maps.Keys(m.waiting)) {
		if m.dropped == m.spool.Stats().Dropped {
			return
		}
		delete(m.waiting, n)
		m.dropped += each
	}
}

func (m *model) ack(t *rapid.T) {
	numbers := slices.Sorted(maps.Keys(m.waiting))
	if len(numbers) == 0 {
		return
	}
	from := rapid.IntRange(0, len(numbers)-1).Draw(t, "from")
	var indexes []uint64
	for _, n := range numbers[from:min(from+rapid.IntRange(1, 40).Draw(t, "acks"), len(numbers))] {
		indexes = append(indexes, m.waiting[n])
		m.stored[n] = true
		delete(m.waiting, n)
	}
	if err := m.spool.Ack(indexes...); err != nil {
		t.Fatal(err)
	}
}

// check compares the spool with the model: it returns what waits, complete and in order, and nothing else.
func (m *model) check(t *rapid.T) {
	if got, want := left(m.base, m.spool), slices.Sorted(maps.Keys(m.waiting)); !slices.Equal(got, want) {
		t.Fatalf("left are %v\nwant     %v", got, want)
	}
	st := m.spool.Stats()
	if st.Bytes > smallest+smallest/4 || st.Records != len(m.waiting) || st.Damaged != 0 {
		t.Fatalf("%+v with %d waiting", st, len(m.waiting))
	}
}

// damage cuts, flips and zeroes the files as a power cut may, and verifies what a spool recovers.
func (m *model) damage(t *rapid.T) {
	files := content(t, m.dir)
	names := slices.Sorted(maps.Keys(files))
	if len(names) == 0 {
		return
	}
	broken := maps.Clone(files)
	for range rapid.IntRange(1, 3).Draw(t, "wounds") {
		name := rapid.SampledFrom(names).Draw(t, "file")
		broken[name] = wound(t, bytes.Clone(broken[name]))
	}
	m.open(m.write(broken))
	m.verify(t, files, broken)
	m.open(m.write(files))
}

func wound(t *rapid.T, data []byte) []byte {
	if len(data) == 0 {
		return data
	}
	at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
	switch rapid.SampledFrom([]string{"cut", "flip", "zero", "garbage"}).Draw(t, "wound") {
	case "cut":
		return data[:at]
	case "flip":
		data[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	case "zero":
		clear(data[at:])
	case "garbage":
		copy(data[at:], rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes"))
	}
	return data
}

// verify checks that the records come in order, that all were appended, and that all that wait and are undamaged are
// among them. An acknowledged record may come again only where the mark that listed it is damaged.
func (m *model) verify(t *rapid.T, files, broken map[string][]byte) {
	got := left(m.base, m.spool)
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Fatalf("out of order, or twice: %v", got)
	}
	for _, n := range got {
		if _, waits := m.waiting[n]; !waits && !m.stored[n] {
			t.Fatalf("%d was never appended, or was dropped", n)
		}
	}
	for n := range m.waiting {
		if whole(files, broken, record(n)) && !slices.Contains(got, n) {
			t.Fatalf("%d is whole and not delivered", n)
		}
	}
	if err := m.spool.Append([]spool.Record{record(m.last + 1)}); err != nil {
		t.Fatal(err)
	}
	if got := left(m.base, m.spool); got[len(got)-1] != m.last+1 {
		t.Fatalf("after damage a new record is not returned: %v", got)
	}
}

// whole reports whether a record's bytes are undamaged.
func whole(files, broken map[string][]byte, r spool.Record) bool {
	for name, data := range files {
		if at := bytes.Index(data, append([]byte(r.ID), r.Payload...)); at >= 0 {
			end := at + len(r.ID) + len(r.Payload)
			return len(broken[name]) >= end && bytes.Equal(data[at-headerSize:end], broken[name][at-headerSize:end])
		}
	}
	return false
}

// Whatever happens in whatever order, the spool agrees with its model; after damage it returns what is undamaged.
func TestSpoolIsItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: rt, base: t, waiting: map[int]uint64{}, stored: map[int]bool{}}
		m.open(t.TempDir())
		defer func() { m.spool.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"":       m.check,
			"append": m.append,
			"ack":    m.ack,
			"kill":   func(t *rapid.T) { m.open(m.write(content(t, m.dir))) },
			"reopen": func(t *rapid.T) { m.spool.Close(); m.spool = nil; m.open(m.dir) },
			"damage": m.damage,
		})
	})
}

// After a power cut at any byte of the last segment, the records before it are returned in order.
func TestCutAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir})
	var ends []int
	for n := 1; n <= 5; n++ {
		appendTo(t, s, n, n)
		info, err := os.Stat(segments(t, dir)[0])
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, int(info.Size()))
	}
	name := filepath.Base(segments(t, dir)[0])
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	cut := t.TempDir()
	for at := len(data); at >= 0; at-- {
		if err := os.WriteFile(filepath.Join(cut, name), data[:at], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, spool.Config{Dir: cut})
		whole := 0
		for _, end := range ends {
			if end <= at {
				whole++
			}
		}
		same(t, left(t, s), 1, whole)
		s.Close()
	}
}

// FuzzDamage overwrites and cuts a segment: the spool never crashes, and never returns a record that was not appended.
func FuzzDamage(f *testing.F) {
	f.Add(uint16(0), []byte{0}, uint16(60))
	f.Add(uint16(70), []byte{0xf5, 'p', 'm', 0xc1, 0, 0, 0, 0}, uint16(500))
	f.Fuzz(func(t *testing.T, at uint16, patch []byte, size uint16) {
		dir := t.TempDir()
		s := open(t, spool.Config{Dir: dir})
		appendTo(t, s, 1, 6)
		s.Close()
		name := segments(t, dir)[0]
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		copy(data[min(int(at), len(data)):], patch)
		data = append(data[:min(int(size), len(data))], patch...)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s = open(t, spool.Config{Dir: dir})
		if got := left(t, s); !slices.IsSorted(got) || len(got) > 6 {
			t.Fatalf("left are %v", got)
		}
		appendTo(t, s, 7, 7)
		if got := fmt.Sprint(left(t, s)); len(got) == 0 || got[len(got)-2:] != "7]" {
			t.Fatalf("left are %v", got)
		}
	})
}
