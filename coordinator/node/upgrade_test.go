//go:build linux

package node_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/coordinator/node"
)

// published is what a status page says to programs that must survive an upgrade: what they may have stored.
type published struct {
	Components []struct{ ID, Name, Status string }
	Incidents  []struct {
		ID, Name, Status string
		Started          milliseconds      `json:"started_at"`
		Updates          []publishedUpdate `json:"incident_updates"`
	}
}

type publishedUpdate struct {
	ID, Status string
	Created    milliseconds `json:"created_at"`
}

// milliseconds is a time as Statuspage writes it. The earlier version wrote nanoseconds.
type milliseconds struct{ time.Time }

func (m *milliseconds) UnmarshalJSON(data []byte) error {
	err := m.Time.UnmarshalJSON(data)
	m.Time = m.Time.Truncate(time.Millisecond)
	return err
}

// read decodes the answers of components.json and incidents.json, which get returns.
func (p *published) read(t *testing.T, get func(name string) ([]byte, error)) {
	t.Helper()
	for _, name := range []string{"components.json", "incidents.json"} {
		data, err := get(name)
		if err == nil {
			err = json.Unmarshal(data, p)
		}
		if err != nil {
			t.Fatal(name, err)
		}
	}
}

// unknown reports whether the page says of no component that it knows how it is now.
func (p *published) unknown() bool {
	for _, c := range p.Components {
		if c.Status != "degraded_performance" {
			return false
		}
	}
	return true
}

// TestADirectoryOfAnEarlierVersion opens a directory that a coordinator wrote before hosts and checks had ids of their
// own: with four hosts in four regions, an outage that was over, and one that was not when it ended. The page still
// tells the same history, with the same ids, also after the view was rebuilt from the streams.
//
// testdata/before-identity.tar.gz holds the directory, the state of the agent of NC036, and what the API said.
func TestADirectoryOfAnEarlierVersion(t *testing.T) {
	c := config(t)
	unpacked := c.Data
	unpack := exec.Command("tar", "-C", unpacked, "-xzf", "testdata/before-identity.tar.gz")
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.Data = filepath.Join(unpacked, "coordinator")
	c.Catalog = nil // the one in the directory stays in force
	var before published
	before.read(t, func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(unpacked, name)) })
	if len(before.Components) != 7 || len(before.Incidents) != 1 {
		t.Fatalf("the archive holds %+v", before)
	}
	for i := range before.Components { // what was then is not known to be so now: see unknown
		before.Components[i].Status = "degraded_performance"
	}

	now := time.Now()
	for _, view := range []string{"migrated", "rebuilt"} {
		if view == "rebuilt" {
			if err := os.Remove(filepath.Join(c.Data, "view.db")); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(before, publishedBy(t, c, now)); diff != "" {
			t.Errorf("%s view: the page says something else (-before +after):\n%s", view, diff)
		}
	}
}

// publishedBy runs a coordinator and returns what its page says of the time before. After some seconds without an agent
// the coordinator also publishes that it does not know any more what it judged.
func publishedBy(t *testing.T, c node.Config, before time.Time) (p published) {
	t.Helper()
	n, err := node.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	// What was judged last stands until the first mark of the clock, which shows that it is not known to be so now.
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		p = published{}
		p.read(t, func(name string) ([]byte, error) {
			status, body := get("http://" + n.PublicAddr().String() + "/api/v2/" + name)
			if status != http.StatusOK {
				t.Errorf("%s: status %d", name, status)
			}
			return []byte(body), nil
		})
		if p.unknown() || time.Now().After(end) {
			break
		}
	}
	for i := range p.Incidents {
		p.Incidents[i].Updates = slices.DeleteFunc(p.Incidents[i].Updates, func(u publishedUpdate) bool {
			return u.Created.After(before)
		})
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return p
}
