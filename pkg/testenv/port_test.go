//go:build unix

package testenv_test

import (
	"net"
	"strconv"
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
