package demo

import (
	"net"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// The demo ends although a client neither reads from its connection nor closes it.
func TestAnAbandonedConnectionEndsWithTheNetwork(t *testing.T) {
	w := newWAN(&catalog.Catalog{})
	far, server := net.Pipe()
	path{wan: w}.relay(far)
	if _, err := server.Write([]byte("a greeting that nobody reads")); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { w.close(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the network never ends")
	}
}
