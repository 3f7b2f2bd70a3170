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

// storedAccounts reads the accounts on the disk and their paths, by name.
func storedAccounts(t *testing.T, dir string) (accounts map[string]*jwt.AccountClaims, paths map[string]string) {
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

// downgradeAccounts gives the accounts other limits, as another version might have: agents send a few bytes and cannot
// ask for the catalog, nobody can join, and JetStream may store one byte.
func downgradeAccounts(t *testing.T, dir string) {
	t.Helper()
	accounts, paths := storedAccounts(t, dir)
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

// A new version on an old data directory gives the accounts its limits and permissions, and keeps revocations.
func TestAccountsOfAnotherVersionAreRenewedAndRevocationsKept(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	stays, goes := issue(t, s, "nc036"), issue(t, s, "nc041")
	if err := s.Revoke(t.Context(), subject(t, goes)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	fresh, _ := storedAccounts(t, dir)
	downgradeAccounts(t, dir)

	s = start(t, dir)
	defer s.Close()
	now, _ := storedAccounts(t, dir)
	for name, account := range now {
		if want, got := permissions(t, fresh[name]), permissions(t, account); got != want {
			t.Errorf("the account %s is\n%s, want\n%s", name, got, want)
		}
	}
	if len(now["AGENTS"].Revocations) != 1 {
		t.Error("revoked:", now["AGENTS"].Revocations)
	}
	c := lead(t, s) // creates the streams
	conn := rawConn(t, s, &stays, "nc036")
	largestBatch(t, conn)
	if _, err := conn.Request(bus.SubjectObservations+"nc036", make([]byte, 4<<10), 10*time.Second); err != nil {
		t.Error("a batch within this version's limits:", err)
	}
	readOBS(t, c, 1)
	admitAll(t, c)
	requestJoin(t, s)
	if !refused(t, s, goes) {
		t.Error("a revoked agent is admitted")
	}
}

// Accounts that need no change are not written again, so that a coordinator can start on a full disk.
func TestAccountsOfThisVersionStayAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).Close()
	before, paths := storedAccounts(t, dir)
	for _, path := range paths {
		if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	start(t, dir).Close()
	after, _ := storedAccounts(t, dir)
	for name, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.ModTime().Equal(time.Unix(1, 0)) || before[name].ID != after[name].ID {
			t.Errorf("the account %s is written again: %v %v", name, info, err)
		}
	}
}

func TestADamagedAccountIsAnError(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).Close()
	_, paths := storedAccounts(t, dir)
	if err := os.Truncate(paths["AGENTS"], 100); err != nil {
		t.Fatal(err)
	}
	_, err := server.Start(t.Context(), server.Config{Dir: dir, Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), paths["AGENTS"]+" is damaged") ||
		!strings.Contains(err.Error(), "move that file away") {
		t.Fatal(err)
	}
	if err := os.Rename(paths["AGENTS"], filepath.Join(dir, "damaged")); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir) // as the error says
	defer s.Close()
	dialAgent(t, s, "nc036")
}

// subject returns the public key in credentials.
func subject(t *testing.T, id identity) string {
	t.Helper()
	claims, err := jwt.DecodeUserClaims(id.token)
	if err != nil {
		t.Fatal(err)
	}
	return claims.Subject
}

// permissions returns what an account may do, as text.
func permissions(t *testing.T, account *jwt.AccountClaims) string {
	t.Helper()
	data, err := json.MarshalIndent(account.Account, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// refused reports whether the server refuses the credentials.
func refused(t *testing.T, s *server.Server, id identity) bool {
	t.Helper()
	tls := func(o *nats.Options) error { o.TLSConfig.ServerName = bus.ServerName; return nil }
	conn, err := nats.Connect(s.Servers()[0], nats.Secure(), nats.RootCAs(writeCA(t, s)), tls,
		nats.UserJWTAndSeed(id.token, id.seed), nats.NoReconnect(), nats.Timeout(time.Minute))
	if err == nil {
		conn.Close()
		return false
	}
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Fatal("refused for another reason:", err)
	}
	return true
}

// largestBatch checks that the server accepts the largest batch of this version and of the one before.
func largestBatch(t *testing.T, conn *nats.Conn) {
	t.Helper()
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := conn.MaxPayload(); got < wire.BatchFormerMax || got > wire.BatchFormerMax+4<<10 {
		t.Errorf("an agent may send %d bytes; a batch has at most %d", got, wire.BatchFormerMax)
	}
}
