package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/bus/server/servertest"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// nodes returns three nodes on loopback.
func nodes(t *testing.T) (out []server.Node) {
	t.Helper()
	for i, port := range testenv.FreeClusterPorts(t, 3) {
		out = append(out, server.Node{Name: fmt.Sprintf("nats-%d", i+1), Host: "127.0.0.1", Port: port})
	}
	return out
}

// startFirst starts the first node of a cluster in its own directory, with the trust of another. One node of three
// elects no leader of streams, which accounts do not need.
func startFirst(t *testing.T, dir, place string, cluster []server.Node) *natsd.Server {
	t.Helper()
	files, err := server.ClusterFiles(dir, cluster, func(server.Node) string { return place })
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range files[0].Files {
		if err := os.WriteFile(filepath.Join(place, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return servertest.Start(t, filepath.Join(place, server.ConfigFile))
}

func use(t *testing.T, dir string, node server.Node) *server.Server {
	t.Helper()
	s, err := server.Use(t.Context(), server.Config{Dir: dir, Logger: zerolog.Nop()},
		[]string{fmt.Sprintf("tls://%s:%d", node.Host, node.Port)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A cluster that another version configured gets this version's limits and permissions when it is used. It keeps
// revocations, even if its nodes are configured again.
func TestTheAccountsOfAClusterAreRenewedAndRevocationsKept(t *testing.T) {
	dir, place, cluster := t.TempDir(), t.TempDir(), nodes(t)
	start(t, dir).Close()
	fresh, _ := storedAccounts(t, dir)
	downgradeAccounts(t, dir)
	node := startFirst(t, dir, place, cluster)

	s := use(t, dir, cluster[0])
	stays, goes := issue(t, s, "nc036"), issue(t, s, "nc041")
	if refused(t, s, goes) {
		t.Fatal("an agent is refused before it is revoked")
	}
	if err := s.Revoke(t.Context(), subject(t, goes)); err != nil {
		t.Fatal(err)
	}
	conn := rawConn(t, s, &stays, "nc036")
	largestBatch(t, conn)
	if err := conn.Publish(bus.SubjectObservations+"nc036", make([]byte, 4<<10)); err != nil {
		t.Error(err)
	}
	if err := conn.Flush(); err != nil || conn.LastError() != nil {
		t.Error("a batch within this version's limits:", err, conn.LastError())
	}
	conn.Close()
	here, _ := storedAccounts(t, dir)
	for name, account := range here {
		if account.Revocations = nil; permissions(t, fresh[name]) != permissions(t, account) {
			t.Errorf("the account %s is\n%s, want\n%s", name, permissions(t, account), permissions(t, fresh[name]))
		}
	}

	for range 2 { // configured again, and then on an empty disk
		node.Shutdown()
		node.WaitForShutdown()
		node = startFirst(t, dir, place, cluster)
		if !refused(t, s, goes) {
			t.Error("a revoked agent is admitted")
		}
		if refused(t, s, stays) {
			t.Error("another agent is refused")
		}
		place = t.TempDir()
	}
}
