//go:build unix

package testenv_test

import (
	"net"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// A port that a test got is nobody else's until the test ends, although nothing listens there.
func TestAPortHasOneTest(t *testing.T) {
	port := 0
	t.Run("has it", func(t *testing.T) {
		port = testenv.FreePort(t)
		if testenv.ReservePort(t, port) {
			t.Error("the port is given to two")
		}
		other := testenv.FreePort(t)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(other)))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	})
	if !testenv.ReservePort(t, port) {
		t.Error("the port is not free after the test")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if testenv.ReservePort(t, l.Addr().(*net.TCPAddr).Port) {
		t.Error("a port that is listened at is given")
	}
}

// A port can be listened at as soon as the test gets it, also while it starts programs.
func TestAPortIsFreeAtOnce(t *testing.T) {
	var starting sync.WaitGroup
	defer starting.Wait()
	done := make(chan struct{})
	defer close(done)
	for range 4 {
		starting.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = exec.Command("true").Run()
				}
			}
		})
	}
	for range 500 {
		l, err := net.Listen("tcp", testenv.FreeAddress(t))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}
