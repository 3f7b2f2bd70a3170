package server

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
)

// fakeServer runs a policer without a server, and records what it closed and banned.
type fakeServer struct {
	*policer
	t      *testing.T
	at     time.Time
	closed []uint64
	banned []string
	bans   int    // calls of ban
	pushed uint64 // accounts

	stored     *jwt.AccountClaims // the agents' account
	unreadable error              // of reading it
}

func newFakeServer(t *testing.T) *fakeServer {
	d := &fakeServer{t: t, at: time.Now(), stored: jwt.NewAccountClaims("agents")}
	d.policer = &policer{
		log: zerolog.Nop(), clients: map[string]*client{}, seen: map[uint64]counted{},
		disconnect: func(id uint64) { d.closed = append(d.closed, id) },
		ban:        func(keys []string) error { d.banned = keys; d.bans++; return nil },
		pushes:     func() uint64 { return d.pushed },
		account:    func() (*jwt.AccountClaims, error) { return d.stored, d.unreadable },
	}
	return d
}

// agents runs one turn of the policer over agents' connections, after a time.
func (d *fakeServer) agents(after time.Duration, all ...*natsd.ConnInfo) {
	d.at, d.closed = d.at.Add(after), nil
	d.police(d.at, all, nil)
}

// joining runs one turn over connections without credentials.
func (d *fakeServer) joining(after time.Duration, all ...*natsd.ConnInfo) {
	d.at, d.closed = d.at.Add(after), nil
	d.police(d.at, nil, all)
}

// agent returns a connection of a new agent.
func (d *fakeServer) agent(id uint64, name string) *natsd.ConnInfo {
	d.t.Helper()
	account, err := nkeys.CreateAccount()
	if err != nil {
		d.t.Fatal(err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		d.t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		d.t.Fatal(err)
	}
	claims := jwt.NewUserClaims(public)
	claims.Name = name
	token, err := claims.Encode(account)
	if err != nil {
		d.t.Fatal(err)
	}
	return &natsd.ConnInfo{Cid: id, JWT: token, Start: d.at}
}

func TestAgentsAreCountedSeparately(t *testing.T) {
	d := newFakeServer(t)
	var all []*natsd.ConnInfo
	for id := range uint64(2 * connectionsMax) {
		all = append(all, d.agent(id, "nc"))
	}
	for range 3 {
		if d.agents(policeEvery, all...); len(d.closed) > 0 {
			t.Fatalf("closed %v", d.closed)
		}
	}
}

func TestAnAgentHasFewConnections(t *testing.T) {
	d := newFakeServer(t)
	one := d.agent(1, "nc036")
	all := []*natsd.ConnInfo{one}
	for id := range uint64(connectionsMax) {
		again := *one
		again.Cid = id + 2
		all = append(all, &again)
	}
	if d.agents(0, all...); !slices.Equal(d.closed, []uint64{1}) {
		t.Errorf("closed %v, want the oldest", d.closed)
	}
}

func TestAFloodIsBannedForAWhileAndABusyAgentIsNot(t *testing.T) {
	d := newFakeServer(t)
	flood, busy := d.agent(1, "nc036"), d.agent(2, "nc041")
	for range 600 { // a backlog and new batches
		busy.InMsgs, busy.InBytes = busy.InMsgs+10, busy.InBytes+200_000
		if d.agents(policeEvery, busy); len(d.closed) > 0 {
			t.Fatal("a busy agent is disconnected")
		}
	}
	flood.InMsgs = messagesBurst + 1
	if d.agents(policeEvery, busy, flood); !slices.Equal(d.closed, []uint64{1}) || len(d.banned) != 1 {
		t.Errorf("closed %v and banned %v", d.closed, d.banned)
	}
	if d.agents(banTime-time.Second, busy); len(d.banned) != 1 {
		t.Error("a flooding agent may connect again at once")
	}
	if d.agents(2*time.Second, busy); len(d.banned) != 0 {
		t.Error("a flooding agent may never connect again")
	}
}

func TestAJoiningConnectionIsShort(t *testing.T) {
	d := newFakeServer(t)
	idle := &natsd.ConnInfo{Cid: 1, Start: d.at}
	chatty := &natsd.ConnInfo{Cid: 2, Start: d.at, InMsgs: joinMessages + 1}
	if d.joining(0, idle, chatty); !slices.Equal(d.closed, []uint64{2}) {
		t.Errorf("closed %v", d.closed)
	}
	if d.joining(joinTime+time.Second, idle); !slices.Equal(d.closed, []uint64{1}) {
		t.Errorf("closed %v", d.closed)
	}
}

func TestOneClientHasFewJoiningConnections(t *testing.T) {
	d := newFakeServer(t)
	var all []*natsd.ConnInfo
	for id := range uint64(joinConnectionsClient + 2) { // of one /64
		all = append(all, &natsd.ConnInfo{Cid: id, Start: d.at, IP: fmt.Sprintf("2001:db8::%x", id)})
	}
	all = append(all, &natsd.ConnInfo{Cid: 1000, Start: d.at, IP: "2001:db8:0:1::1"},
		&natsd.ConnInfo{Cid: 1001, Start: d.at, IP: "192.0.2.1"})
	d.joining(0, all...)
	if slices.Sort(d.closed); !slices.Equal(d.closed, []uint64{0, 1}) {
		t.Errorf("closed %v, want the two oldest", d.closed)
	}
}

// Many addresses of one attacker, each with as many connections as one may have, do not take the place of somebody who
// has a token and one connection.
func TestManyClientsLeaveRoomForOneThatJoins(t *testing.T) {
	d := newFakeServer(t)
	joiner := &natsd.ConnInfo{Cid: 9999, Start: d.at, IP: "192.0.2.1"}
	all := []*natsd.ConnInfo{joiner} // the oldest
	for client := range 34 {
		for n := range joinConnectionsClient {
			id := uint64(client*joinConnectionsClient + n)
			all = append(all, &natsd.ConnInfo{Cid: id, Start: d.at, IP: fmt.Sprintf("198.51.100.%d", client)})
		}
	}
	d.joining(0, all...)
	if slices.Contains(d.closed, joiner.Cid) {
		t.Error("the one that joins is disconnected")
	}
	if left := len(all) - len(d.closed); left > joinConnections || left < joinConnections/2 {
		t.Errorf("%d of %d connections are left, and %d may be", left, len(all), joinConnections)
	}
}

// A pushed account, as of a revocation, lifts the ban: it is applied again.
func TestABanOutlivesAPushedAccount(t *testing.T) {
	d := newFakeServer(t)
	a := d.agent(1, "nc036")
	d.agents(0, a)
	a.InMsgs = 100_000
	d.agents(time.Second, a)
	d.agents(time.Second)
	if len(d.banned) != 1 || d.bans != 1 {
		t.Fatal(d.banned, d.bans)
	}
	d.pushed++
	d.agents(time.Second)
	d.agents(time.Second)
	if len(d.banned) != 1 || d.bans != 2 {
		t.Error(d.banned, "banned", d.bans, "times")
	}
}

// The server accepted the credentials before the key was revoked, and added the connection to its account after.
func TestAKeyThatIsRevokedWhileItConnectsIsDisconnected(t *testing.T) {
	d := newFakeServer(t)
	good, revoked := d.agent(1, "nc036"), d.agent(2, "nc041")
	key, _ := holder(revoked.JWT)
	d.stored.RevokeAt(key, time.Unix(never, 0))
	d.unreadable = errors.New("too many open files")
	d.agents(policeEvery, good, revoked)
	if len(d.closed) != 0 {
		t.Errorf("closed %v without knowing the revoked keys", d.closed)
	}
	d.unreadable = nil
	d.agents(policeEvery, good, revoked)
	if !slices.Equal(d.closed, []uint64{2}) {
		t.Errorf("closed %v, want the revoked agent's connection", d.closed)
	}
}
