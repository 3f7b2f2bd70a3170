package admin_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// backend remembers what it was asked.
type backend struct {
	catalog *catalog.Catalog
	applied *catalog.Catalog
}

func (b *backend) Current() (*catalog.Catalog, *mesh.Snapshot) {
	return b.catalog, &mesh.Snapshot{Hosts: []mesh.HostState{{Name: "NC036", Checks: []mesh.CheckState{{Votes: []mesh.RegionVote{{Vote: mesh.OK}}}}}}}
}

func (b *backend) At(_ context.Context, at time.Time) (*catalog.Catalog, *mesh.Snapshot, error) {
	if at.Year() > 2026 {
		return nil, nil, errors.New("still to come")
	}
	return b.catalog, &mesh.Snapshot{At: at}, nil
}

func (b *backend) LastChange(_ context.Context, host string, at time.Time) (ledger.Change, bool, error) {
	return ledger.Change{At: at, Source: "of " + host}, host == "nc036", nil
}

func (b *backend) Transitions(_ context.Context, host string, _ time.Time, limit int) ([]mesh.Transition, error) {
	return []mesh.Transition{{Host: host, Sequence: uint64(limit)}}, nil
}

func (b *backend) Apply(_ context.Context, c *catalog.Catalog, _ string, prune bool) ([]catalog.Change, error) {
	if !prune {
		return nil, errors.New("add --prune")
	}
	b.applied = c
	return []catalog.Change{{What: "changed"}}, nil
}

func (b *backend) Invite(_ context.Context, host string) (string, error) {
	return "token for " + host, nil
}

func (b *backend) Revoke(_ context.Context, host string) (bool, error) { return host == "NC041", nil }

func (b *backend) RotateGossipKey(context.Context) (time.Time, error) { return time.Unix(7, 0), nil }

func (b *backend) Problems() []string { return []string{"a problem"} }

func (b *backend) BackupParts(context.Context) ([]string, error) {
	return []string{"streams/OBS", "broken"}, nil
}

func (b *backend) BackupPart(_ context.Context, name string, w io.Writer) error {
	if name == "streams/OBS" {
		_, err := io.WriteString(w, "what was seen")
		return err
	}
	io.WriteString(w, strings.Repeat("half of it ", 1000))
	return errors.New("the disk broke")
}

// What fails halfway is not taken for whole.
func TestABackupComesWholeOrNot(t *testing.T) {
	dir, err := os.MkdirTemp("", "pm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := admin.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: admin.NewHandler(admin.Backend{Backup: &backend{}})}
	go server.Serve(l)
	defer server.Close()
	client := admin.NewClient(dir)
	parts, err := client.BackupParts(t.Context())
	if err != nil || len(parts) != 2 {
		t.Fatal(parts, err)
	}
	var out strings.Builder
	if err := client.BackupPart(t.Context(), parts[0], &out); err != nil || out.String() != "what was seen" {
		t.Error(out.String(), err)
	}
	if err := client.BackupPart(t.Context(), parts[1], &out); err == nil || !strings.Contains(err.Error(), "the disk broke") {
		t.Error("half a part is taken:", err)
	}
}

func TestCommandsAndCoordinatorUnderstandEachOther(t *testing.T) {
	dir, err := os.MkdirTemp("", "pm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	client := admin.NewClient(dir)
	if _, err := client.State(t.Context(), time.Time{}); err == nil || !strings.Contains(err.Error(), "no coordinator runs on") {
		t.Error(err)
	}
	l, err := admin.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 2, 31, 7, 4, time.UTC)
	b := &backend{catalog: &catalog.Catalog{Rule: catalog.DefaultRule()}}
	catalog.Seal(b.catalog)
	server := &http.Server{Handler: admin.NewHandler(admin.Backend{Engine: b, Enroller: b, Backup: b})}
	go server.Serve(l)
	defer server.Close()
	if info, err := os.Stat(filepath.Join(dir, "admin.sock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error("others may open the socket", info.Mode(), err)
	}
	if _, err := admin.Listen(dir); err == nil {
		t.Error("two coordinators on one directory")
	}
	state, err := client.State(t.Context(), time.Time{})
	if err != nil || state.Snapshot.Hosts[0].Checks[0].Votes[0].Vote != mesh.OK || state.Problems[0] != "a problem" || state.Catalog.Revision != b.catalog.Revision {
		t.Error(state, err)
	}
	if state, err := client.State(t.Context(), at); err != nil || !state.Snapshot.At.Equal(at) {
		t.Error(state, err)
	}
	if _, err := client.State(t.Context(), at.AddDate(1, 0, 0)); err == nil || err.Error() != "still to come" {
		t.Error(err)
	}
	if change, err := client.LastChange(t.Context(), "NC036", at); err != nil || change.Source != "of nc036" || !change.At.Equal(at) {
		t.Error(change, err)
	}
	if change, err := client.LastChange(t.Context(), "NC041", at); err != nil || change != nil {
		t.Error(change, err)
	}
	if token, err := client.Invite(t.Context(), "NC036"); token != "token for NC036" || err != nil {
		t.Error(token, err)
	}
	if already, err := client.Revoke(t.Context(), "NC036"); already || err != nil {
		t.Error(already, err)
	}
	if already, err := client.Revoke(t.Context(), "NC041"); !already || err != nil {
		t.Error(already, err)
	}
	if done, err := client.RotateGossipKey(t.Context()); !done.Equal(time.Unix(7, 0)) || err != nil {
		t.Error(done, err)
	}
	if ts, err := client.Transitions(t.Context(), "NC036", 7); err != nil || ts[0].Host != "nc036" || ts[0].Sequence != 7 {
		t.Error(ts, err)
	}
	if _, err := client.Apply(t.Context(), b.catalog, "x", false); err == nil || err.Error() != "add --prune" {
		t.Error(err)
	}
	if changes, err := client.Apply(t.Context(), b.catalog, "x", true); err != nil || changes[0].What != "changed" || b.applied.Revision != b.catalog.Revision {
		t.Error(changes, err)
	}
}
