package server_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/wire"
)

// signer is the key that a data directory's accounts are signed with.
func signer(t *testing.T, dir string) nkeys.KeyPair {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "trust", "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	var seeds struct{ Operator string }
	if err := json.Unmarshal(data, &seeds); err != nil {
		t.Fatal(err)
	}
	pair, err := nkeys.FromSeed([]byte(seeds.Operator))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// kept reads the accounts on the disk, by name, and where they are.
func kept(t *testing.T, dir string) (accounts map[string]*jwt.AccountClaims, paths map[string]string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "trust", "accounts", "*.jwt"))
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	accounts, paths = map[string]*jwt.AccountClaims{}, map[string]string{}
	for _, path := range files {
		signed, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		account, err := jwt.DecodeAccountClaims(string(signed))
		if err != nil {
			t.Fatal(err)
		}
		accounts[account.Name], paths[account.Name] = account, path
	}
	return accounts, paths
}

// older has the accounts say what another version might have let them do: agents send a few bytes and ask for no catalog, nobody
// may knock, and JetStream keeps nothing.
func older(t *testing.T, dir string) {
	t.Helper()
	accounts, paths := kept(t, dir)
	for _, key := range accounts["AGENTS"].SigningKeys.Keys() {
		scope := accounts["AGENTS"].SigningKeys[key].(*jwt.UserScope)
		scope.Template.Payload = 8
		scope.Template.Pub.Allow = jwt.StringList{bus.SubjectObservations + "{{name()}}"}
	}
	accounts["AGENTS"].Imports = accounts["AGENTS"].Imports[:1]
	accounts["MESH"].Limits.DiskStorage = 1
	accounts["MESH"].Exports = accounts["MESH"].Exports[:1]
	accounts["ENROL"].Limits.Conn = 0
	for name, account := range accounts {
		signed, err := account.Encode(signer(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(paths[name], []byte(signed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// An old data directory under a new program: its accounts have the new limits and permissions, and who was revoked stays out.
func TestAccountsOfAnotherVersionAreRenewedAndRevocationsKept(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	stays, goes := issue(t, s, "nc036"), issue(t, s, "nc041")
	if err := s.Revoke(t.Context(), subject(t, goes)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	fresh, _ := kept(t, dir)
	older(t, dir)

	s = start(t, dir)
	defer s.Close()
	now, _ := kept(t, dir)
	for name, account := range now {
		if want, got := words(t, fresh[name]), words(t, account); got != want {
			t.Errorf("the account %s is\n%s, wanted\n%s", name, got, want)
		}
	}
	if len(now["AGENTS"].Revocations) != 1 {
		t.Error("revoked:", now["AGENTS"].Revocations)
	}
	c := coordinator(t, s) // makes streams
	conn := raw(t, s, &stays, "nc036")
	largestBatch(t, conn)
	if _, err := conn.Request(bus.SubjectObservations+"nc036", make([]byte, 4<<10), 10*time.Second); err != nil {
		t.Error("a batch that today's limits allow:", err)
	}
	follow(t, c, 1)
	comeIn(t, c)
	knock(t, s)
	if !refused(t, s, goes) {
		t.Error("a revoked agent is let in")
	}
}

// What is as it should be is not written again: a start on a disk that is full needs no room.
func TestAccountsOfThisVersionStayAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).Close()
	before, paths := kept(t, dir)
	for _, path := range paths {
		if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	start(t, dir).Close()
	after, _ := kept(t, dir)
	for name, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.ModTime().Equal(time.Unix(1, 0)) || before[name].ID != after[name].ID {
			t.Errorf("the account %s is written again: %v %v", name, info, err)
		}
	}
}

func TestADamagedAccountIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).Close()
	_, paths := kept(t, dir)
	if err := os.Truncate(paths["AGENTS"], 100); err != nil {
		t.Fatal(err)
	}
	_, err := server.Start(t.Context(), server.Config{Dir: dir, Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), paths["AGENTS"]+" is damaged") || !strings.Contains(err.Error(), "move that file away") {
		t.Fatal(err)
	}
	if err := os.Rename(paths["AGENTS"], filepath.Join(dir, "damaged")); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir) // as it was told
	defer s.Close()
	agent(t, s, "nc036")
}

// subject is the public key that credentials are for.
func subject(t *testing.T, id identity) string {
	t.Helper()
	claims, err := jwt.DecodeUserClaims(id.token)
	if err != nil {
		t.Fatal(err)
	}
	return claims.Subject
}

// words is what an account may do.
func words(t *testing.T, account *jwt.AccountClaims) string {
	t.Helper()
	data, err := json.MarshalIndent(account.Account, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// refused reports whether the server does not let the credentials in.
func refused(t *testing.T, s *server.Server, id identity) bool {
	t.Helper()
	tls := func(o *nats.Options) error { o.TLSConfig.ServerName = bus.ServerName; return nil }
	conn, err := nats.Connect(s.Servers()[0], nats.Secure(), nats.RootCAs(writeCA(t, s)), tls, nats.UserJWTAndSeed(id.token, id.seed), nats.NoReconnect())
	if err == nil {
		conn.Close()
		return false
	}
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Fatal("refused for another reason:", err)
	}
	return true
}

// largestBatch checks that what an agent of this version or the one before sends at most is what the server lets it send.
func largestBatch(t *testing.T, conn *nats.Conn) {
	t.Helper()
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := conn.MaxPayload(); got < wire.BatchFormerMax || got > wire.BatchFormerMax+4<<10 {
		t.Errorf("an agent may send %d bytes at once; a batch has %d at most", got, wire.BatchFormerMax)
	}
}
