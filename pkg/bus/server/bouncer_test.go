package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
)

// door is a bouncer without a server: what it ended, and whom it keeps out.
type door struct {
	*bouncer
	t      *testing.T
	at     time.Time
	ended  []uint64
	banned []string
	bans   int    // how often they were banned
	pushed uint64 // accounts
}

func newDoor(t *testing.T) *door {
	d := &door{t: t, at: time.Now()}
	d.bouncer = &bouncer{
		log: zerolog.Nop(), guests: map[string]*guest{}, seen: map[uint64]counted{},
		end:    func(id uint64) { d.ended = append(d.ended, id) },
		ban:    func(keys []string) error { d.banned = keys; d.bans++; return nil },
		pushes: func() uint64 { return d.pushed },
	}
	return d
}

// look has the bouncer look at agents' connections, so long after the last time.
func (d *door) look(after time.Duration, all ...*natsd.ConnInfo) {
	d.at, d.ended = d.at.Add(after), nil
	d.bouncer.look(d.at, all, nil)
}

// knock has it look at those who knock.
func (d *door) knock(after time.Duration, all ...*natsd.ConnInfo) {
	d.at, d.ended = d.at.Add(after), nil
	d.bouncer.look(d.at, nil, all)
}

func (d *door) guest(id uint64, name string) *natsd.ConnInfo {
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

func TestManyAgentsAreToldApart(t *testing.T) {
	d := newDoor(t)
	var all []*natsd.ConnInfo
	for id := range uint64(2 * connectionsMax) {
		all = append(all, d.guest(id, "nc"))
	}
	for range 3 {
		if d.look(lookEvery, all...); len(d.ended) > 0 {
			t.Fatalf("it ended %v", d.ended)
		}
	}
}

func TestAnAgentHasFewConnections(t *testing.T) {
	d := newDoor(t)
	one := d.guest(1, "nc036")
	all := []*natsd.ConnInfo{one}
	for id := range uint64(connectionsMax) {
		again := *one
		again.Cid = id + 2
		all = append(all, &again)
	}
	if d.look(0, all...); !slices.Equal(d.ended, []uint64{1}) {
		t.Errorf("it ended %v, wanted the oldest", d.ended)
	}
}

func TestAFloodIsKeptOutForAWhileAndWorkIsNot(t *testing.T) {
	d := newDoor(t)
	flood, work := d.guest(1, "nc036"), d.guest(2, "nc041")
	for range 600 { // what waited in it, and news
		work.InMsgs, work.InBytes = work.InMsgs+10, work.InBytes+200_000
		if d.look(lookEvery, work); len(d.ended) > 0 {
			t.Fatal("one that works is ended")
		}
	}
	flood.InMsgs = messagesBurst + 1
	if d.look(lookEvery, work, flood); !slices.Equal(d.ended, []uint64{1}) || len(d.banned) != 1 {
		t.Errorf("it ended %v and keeps out %v", d.ended, d.banned)
	}
	if d.look(awayFor-time.Second, work); len(d.banned) != 1 {
		t.Error("a flood may come back at once")
	}
	if d.look(2*time.Second, work); len(d.banned) != 0 {
		t.Error("a flood may never come back")
	}
}

func TestOneWhoKnocksDoesNotStay(t *testing.T) {
	d := newDoor(t)
	knocks := &natsd.ConnInfo{Cid: 1, Start: d.at}
	chatters := &natsd.ConnInfo{Cid: 2, Start: d.at, InMsgs: knockMessages + 1}
	if d.knock(0, knocks, chatters); !slices.Equal(d.ended, []uint64{2}) {
		t.Errorf("it ended %v", d.ended)
	}
	if d.knock(knockFor+time.Second, knocks); !slices.Equal(d.ended, []uint64{1}) {
		t.Errorf("it ended %v", d.ended)
	}
}

func TestOneClientHasFewConnectionsToKnockWith(t *testing.T) {
	d := newDoor(t)
	var all []*natsd.ConnInfo
	for id := range uint64(knockersOfOne + 2) { // of one /64
		all = append(all, &natsd.ConnInfo{Cid: id, Start: d.at, IP: fmt.Sprintf("2001:db8::%x", id)})
	}
	all = append(all, &natsd.ConnInfo{Cid: 1000, Start: d.at, IP: "2001:db8:0:1::1"}, &natsd.ConnInfo{Cid: 1001, Start: d.at, IP: "192.0.2.1"})
	d.knock(0, all...)
	if slices.Sort(d.ended); !slices.Equal(d.ended, []uint64{0, 1}) {
		t.Errorf("it ended %v, wanted the two oldest", d.ended)
	}
}

// An account that is pushed, as where a key is revoked, lets the banned in again: they are banned anew.
func TestABanOutlivesAPushedAccount(t *testing.T) {
	d := newDoor(t)
	g := d.guest(1, "nc036")
	d.look(0, g)
	g.InMsgs = 100_000
	d.look(time.Second, g)
	d.look(time.Second)
	if len(d.banned) != 1 || d.bans != 1 {
		t.Fatal(d.banned, d.bans)
	}
	d.pushed++
	d.look(time.Second)
	d.look(time.Second)
	if len(d.banned) != 1 || d.bans != 2 {
		t.Error("banned", d.banned, d.bans, "times")
	}
}
