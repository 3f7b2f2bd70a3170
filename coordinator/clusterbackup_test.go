package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	agent "github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/backup"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus/server"
)

// A coordinator on a cluster of its own is backed up as any other is, and restored to the cluster that outlived it,
// into a server of its own, and to another cluster. Wherever it is, the agent that had joined is known and speaks.
func TestACoordinatorOnAClusterIsRestored(t *testing.T) {
	data := shortDir(t)
	_, urls, nodes := startCluster(t, data)
	n, stop := runOn(t, data, urls)
	id := joinOn(t, n, "NC036")
	saved := filepath.Join(t.TempDir(), "b")
	if _, err := backup.Save(t.Context(), admin.NewClient(data), saved, "v1"); err != nil {
		t.Fatal(err)
	}
	stop()
	a, err := backup.Open(saved)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()

	beside := restored(t, a, urls, true)
	n, stop = runOn(t, beside, urls)
	goesOn(t, n, id, urls)
	stop()
	for _, node := range nodes {
		node.Shutdown()
		node.WaitForShutdown()
	}

	alone := restored(t, a, nil, false)
	n, err = node.Open(t.Context(), onLoopback(node.Config{Data: alone}))
	if err != nil {
		t.Fatal(err)
	}
	goesOn(t, n, id, n.NATSServers())
	n.Close()

	_, urls, nodes = startCluster(t, alone) // nodes for the keys of the backup, with nothing in them
	ready(t, alone, urls)
	_, err = backup.Restore(t.Context(), broken(t, a), filepath.Join(t.TempDir(), "x"), openBusOn(urls))
	if err == nil || !strings.Contains(err.Error(), "restore LEDGER") {
		t.Error("a ledger that is none:", err)
	}
	elsewhere := restored(t, a, urls, false) // so what was made of the broken one is gone
	n, stop = runOn(t, elsewhere, urls)
	goesOn(t, n, id, urls)
	for _, stream := range []string{"OBS", "LEDGER", "KV_enrolment"} {
		if copies := replicas(t, nodes, stream); copies != 3 {
			t.Errorf("%s has %d copies", stream, copies)
		}
	}
	stop()
	halfACluster(t, a, elsewhere, urls)
}

// openBusOn opens the cluster's servers, or where none are named one in this process, as the command restore does.
func openBusOn(cluster []string) backup.OpenBus {
	return func(ctx context.Context, dir string) (*server.Server, error) {
		return node.OpenBus(ctx, onLoopback(node.Config{Data: dir, NATSServers: cluster}))
	}
}

// restored restores the backup into a new directory.
func restored(t *testing.T, a *backup.Archive, cluster []string, wantKept bool) string {
	t.Helper()
	dir := filepath.Join(shortDir(t), "d")
	kept, err := backup.Restore(t.Context(), a, dir, openBusOn(cluster))
	if err != nil || kept != wantKept {
		t.Fatalf("the cluster keeps its streams: %v, wanted %v: %v", kept, wantKept, err)
	}
	return dir
}

// goesOn checks that a restored coordinator knows the agent, and that the agent speaks to it.
func goesOn(t *testing.T, n *node.Node, id agent.Identity, servers []string) {
	t.Helper()
	if known, err := n.Agent(t.Context(), "nc036"); err != nil || known.PublicKey == "" {
		t.Error("the agent that had joined is not known:", err)
	}
	id.Servers = servers
	if !publishes(t, dialAs(t, id), servers[0]+t.Name(), 20*time.Second) {
		t.Error("the agent that had joined cannot speak at", servers)
	}
}

// ready waits until the cluster has a leader for its streams.
func ready(t *testing.T, dir string, urls []string) *server.Streams {
	t.Helper()
	s, err := server.Use(t.Context(), server.Config{Dir: filepath.Join(dir, "bus"), Logger: zerolog.Nop()}, urls)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		streams, err := s.Streams()
		if err == nil {
			if _, err = streams.Names(t.Context()); err == nil {
				t.Cleanup(streams.Close)
				return streams
			}
			streams.Close()
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// broken is a backup with the same keys whose ledger is none, though its checksums are right.
func broken(t *testing.T, a *backup.Archive) *backup.Archive {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "b")
	w, err := backup.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		err := w.Add(f.Name, func(out io.Writer) error {
			if f.Name == "streams/LEDGER" {
				_, err := io.WriteString(out, "{}\n")
				return err
			}
			in, err := a.Read(f.Name)
			if err == nil {
				_, err = io.Copy(out, in)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish("v1", time.Now()); err != nil {
		t.Fatal(err)
	}
	b, err := backup.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// halfACluster loses one of the streams: what is left is neither kept nor added to.
func halfACluster(t *testing.T, a *backup.Archive, keys string, urls []string) {
	t.Helper()
	if err := ready(t, keys, urls).Remove(t.Context(), "OBS"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "d")
	_, err := backup.Restore(t.Context(), a, dir, openBusOn(urls))
	if err == nil || !strings.Contains(err.Error(), "has some streams of a mesh but not OBS: stop its nodes") {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("something is written")
	}
}
