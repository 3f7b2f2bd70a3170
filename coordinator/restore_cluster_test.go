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

// TestRestoreOfACoordinatorOnACluster restores one backup to the cluster that survived, to a server in the
// coordinator's process, and to another cluster. Everywhere the agent that had joined is a member and can publish.
func TestRestoreOfACoordinatorOnACluster(t *testing.T) {
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
	checkMember(t, n, id, urls)
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
	checkMember(t, n, id, n.NATSServers())
	n.Close()

	_, urls, nodes = startCluster(t, alone) // empty nodes, with the keys of the backup
	awaitLeader(t, alone, urls)
	_, err = backup.Restore(t.Context(), withBrokenLedger(t, a), filepath.Join(t.TempDir(), "x"), openBusOn(urls),
		backup.Options{})
	if err == nil || !strings.Contains(err.Error(), "restore LEDGER") {
		t.Error("a file that is not a stream is restored:", err)
	}
	elsewhere := restored(t, a, urls, false) // succeeds only if the failed restore left nothing behind
	n, stop = runOn(t, elsewhere, urls)
	checkMember(t, n, id, urls)
	for _, stream := range []string{"OBS", "LEDGER", "ROLLUP", "KV_enrolment"} {
		if copies := replicas(t, nodes, stream); copies != 3 {
			t.Errorf("%s has %d copies", stream, copies)
		}
	}
	stop()
	checkPartialCluster(t, a, elsewhere, urls)
}

// openBusOn opens the cluster's servers, or one in this process if there is no cluster, as the command restore does.
func openBusOn(cluster []string) backup.OpenBus {
	return func(ctx context.Context, dir string) (*server.Server, error) {
		return node.OpenBus(ctx, onLoopback(node.Config{Data: dir, NATSServers: cluster}))
	}
}

// restored restores the backup into a new directory.
func restored(t *testing.T, a *backup.Archive, cluster []string, wantKept bool) string {
	t.Helper()
	dir := filepath.Join(shortDir(t), "d")
	done, err := backup.Restore(t.Context(), a, dir, openBusOn(cluster), backup.Options{})
	if err != nil || done.Kept != wantKept {
		t.Fatalf("the cluster kept its streams: %v, wanted %v: %v", done.Kept, wantKept, err)
	}
	return dir
}

// checkMember checks that the agent is a member of the restored coordinator and can publish to it.
func checkMember(t *testing.T, n *node.Node, id agent.Identity, servers []string) {
	t.Helper()
	if known, err := n.Agent(t.Context(), "nc036"); err != nil || known.PublicKey == "" {
		t.Error("the agent that had joined is not a member:", err)
	}
	id.Servers = servers
	if !publishes(t, dialAs(t, id), servers[0]+t.Name(), 20*time.Second) {
		t.Error("the agent that had joined cannot publish at", servers)
	}
}

// awaitLeader waits until the cluster has elected a leader for its streams.
func awaitLeader(t *testing.T, dir string, urls []string) *server.Streams {
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

// withBrokenLedger copies a backup, with right checksums but a ledger that is not a stream.
func withBrokenLedger(t *testing.T, a *backup.Archive) *backup.Archive {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "b")
	w, err := backup.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Manifest.Files {
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

// checkPartialCluster removes one stream of the cluster. A restore then neither keeps nor adds to the others.
func checkPartialCluster(t *testing.T, a *backup.Archive, keys string, urls []string) {
	t.Helper()
	if err := awaitLeader(t, keys, urls).Remove(t.Context(), "OBS"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "d")
	_, err := backup.Restore(t.Context(), a, dir, openBusOn(urls),
		backup.Options{})
	if err == nil || !strings.Contains(err.Error(), "has some streams of a mesh but not OBS: stop its nodes") {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the data directory was created")
	}
}
