package node_test

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// openStreams connects to the streams of a directory whose coordinator is stopped, until close is called.
func openStreams(t *testing.T, c node.Config) (b *buscoordinator.Conn, close func()) {
	t.Helper()
	s, err := node.OpenBus(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	config, err := s.CoordinatorConfig()
	if err == nil {
		b, err = buscoordinator.Dial(t.Context(), config)
	}
	if err != nil {
		s.Close()
		t.Fatal(err)
	}
	return b, func() {
		b.Close()
		s.Close()
	}
}

// fillStreams writes several blocks of messages to the streams of a directory whose coordinator is stopped.
func fillStreams(t *testing.T, c node.Config, pause time.Duration) {
	t.Helper()
	b, close := openStreams(t, c)
	defer close()
	if err := b.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Of a kind that no version folds. Random, so that compression keeps OBS as large.
	for i := range 30 {
		data := make([]byte, 1<<20)
		for k := range data {
			data[k] = byte(k*k>>7 ^ k*i>>3 ^ k>>11)
		}
		if i == 11 { // within the second block
			time.Sleep(pause)
		}
		if _, err := b.Append(t.Context(), []bus.Entry{{Subject: "padding", ID: fmt.Sprint(i), Data: data}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Mark(t.Context(), bus.Kind("padding"), fmt.Sprint(i), data); err != nil {
			t.Fatal(err)
		}
	}
}

// blocks returns the paths of a stream's blocks, oldest first.
func blocks(t *testing.T, dir, stream string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "bus", "streams"), func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(path, "/"+stream+"/") && strings.HasSuffix(path, ".blk") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(paths, func(a, b string) int { // 2.blk before 10.blk
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return paths
}

func overwrite(data []byte) []byte { return make([]byte, len(data)) }
func truncate(data []byte) []byte  { return data[:len(data)/2] }
func flip(data []byte) []byte {
	data[len(data)-100] ^= 1
	return data
}

// The files of a stopped coordinator are damaged. The next starts say so to operators, in `coordinator status` and in
// the log, and the status page does not show the time as one without incidents.
func TestDamagedStreamsAreReported(t *testing.T) {
	for _, test := range []struct {
		name, stream string
		last         bool // the last block, else the second
		damage       func([]byte) []byte
		history      bool // the history is incomplete
		pause        time.Duration
	}{
		{"an overwritten block", "LEDGER", false, overwrite, true, 0},
		{"a bit of a block", "LEDGER", false, flip, true, 0},
		{"a missing block", "LEDGER", false, nil, true, 0},
		{"a truncated last block", "LEDGER", true, truncate, true, 0},
		{"a bit of the last block", "LEDGER", true, flip, true, 0},
		{"an overwritten block of observations", "OBS", false, overwrite, false, 6 * time.Second},
		{"an overwritten bucket", "KV_enrolment", true, overwrite, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, log := config(t), &testenv.Log{}
			c.Logger = zerolog.New(log)
			for _, opened := range []bool{true, false} { // the view has seen the messages
				n, err := node.Open(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				if opened {
					if _, err := n.Invite(t.Context(), "NC036"); err != nil {
						t.Fatal(err)
					}
				}
				n.Close()
				if opened {
					fillStreams(t, c, test.pause)
				}
			}
			files := blocks(t, c.Data, test.stream)
			file := files[len(files)-1]
			if !test.last {
				file = files[1]
			}
			damageFile(t, file, test.damage)
			for start := range 2 {
				status, page := observeStart(t, c, "stream "+test.stream)
				if !strings.Contains(status, "stream "+test.stream+" lost") || !strings.Contains(status, "coordinator restore") {
					t.Errorf("start %d: operators see %q", start, status)
				}
				if got := strings.Contains(page, "records of this day are incomplete"); got != test.history {
					t.Errorf("start %d: the page says that records are incomplete: %v", start, got)
				}
				if test.history && strings.Count(page, "No incidents.") > 6 {
					t.Errorf("start %d: the page says that nothing happened:\n%s", start, page)
				}
			}
			if !strings.Contains(log.String(), `"level":"error"`) || !strings.Contains(log.String(), "messages lost") {
				t.Error("the log has no error")
			}
		})
	}
}

// A view that was built from a damaged ledger shows what is left, and the damage.
func TestAViewIsRebuiltFromADamagedLedger(t *testing.T) {
	c := config(t)
	reopen(t, c)
	fillStreams(t, c, 0)
	damageFile(t, blocks(t, c.Data, "LEDGER")[1], overwrite)
	for _, damage := range []func(){
		func() { _ = os.Remove(filepath.Join(c.Data, "view.db")) },
		func() { _ = os.WriteFile(filepath.Join(c.Data, "view.db"), []byte("damaged"), 0o600) },
	} {
		damage()
		status, page := observeStart(t, c, "stream LEDGER")
		if !strings.Contains(status, "stream LEDGER lost") || !strings.Contains(page, "records of this day are incomplete") {
			t.Errorf("operators see %q", status)
		}
	}
}

// An undamaged directory is not reported as damaged.
func TestUndamagedStreamsAreNotReported(t *testing.T) {
	c := config(t)
	reopen(t, c)
	fillStreams(t, c, 0)
	for range 2 {
		if status, page := observeStart(t, c, ""); strings.Contains(status, "lost") || strings.Contains(page, "incomplete") {
			t.Errorf("operators see %q", status)
		}
	}
}

func damageFile(t *testing.T, file string, damage func([]byte) []byte) {
	t.Helper()
	if damage == nil {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, damage(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// observeStart runs a node until operators see the text among its problems, at most some seconds, and returns the
// problems and the front page.
func observeStart(t *testing.T, c node.Config, wait string) (status, page string) {
	t.Helper()
	n, err := node.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- n.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var state admin.State
	// The stream of observations is read after the start.
	for deadline := time.Now().Add(2 * time.Minute); state.Snapshot == nil || state.Snapshot.At.IsZero() ||
		!strings.Contains(strings.Join(state.Problems, ""), wait) && time.Now().Before(deadline); {
		if state, err = admin.NewClient(c.Data).State(ctx, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	code, page := get("http://" + n.PublicAddr().String() + "/")
	if code != http.StatusOK {
		t.Fatal(code, page)
	}
	return strings.Join(state.Problems, "\n"), page
}
