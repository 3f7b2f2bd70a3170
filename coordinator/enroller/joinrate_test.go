package enroller_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	agent "github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/wire"
)

// dialFrom dials from one of this machine's loopback addresses, each of which counts as a client.
func dialFrom(address string) bus.DialFunc {
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext
}

// requestJoin sends a join request without a token, and reports whether it was answered within the time.
func (d *coordinator) requestJoin(t *testing.T, dial bus.DialFunc, within time.Duration) bool {
	t.Helper()
	pin, err := bus.Pin(d.server.CA())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_, err = busagent.RequestEnrolment(ctx, d.server.Servers(), pin, dial,
		wire.EncodeGrantRequest(wire.GrantRequest{Rename: true}))
	return err == nil
}

func TestAFloodOfJoinRequestsDoesNotStopAnotherClient(t *testing.T) {
	d := open(t)
	token, err := d.Invite(t.Context(), "nc036")
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var tasks sync.WaitGroup
	defer tasks.Wait()
	end := sync.OnceFunc(func() { close(stop) })
	defer end()
	refused := make(chan struct{}, 1)
	for range 16 {
		tasks.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !d.requestJoin(t, dialFrom("127.0.0.2"), 2*time.Second) {
					select {
					case refused <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	select {
	case <-refused:
	case <-time.After(time.Minute):
		t.Fatal("one client is answered at any rate")
	}
	if _, err := agent.Join(t.Context(), token, t.TempDir(), dialFrom("127.0.0.3")); err != nil {
		t.Errorf("another client cannot join: %v", err)
	}
}

// A rack of servers behind one address can join at once.
func TestARackBehindOneAddressIsAnswered(t *testing.T) {
	d := open(t)
	var tasks sync.WaitGroup
	for range 10 {
		tasks.Go(func() {
			for range 10 {
				if !d.requestJoin(t, dialFrom("127.0.0.2"), time.Minute) {
					t.Error("one of a hundred requests is not answered")
				}
			}
		})
	}
	tasks.Wait()
}
