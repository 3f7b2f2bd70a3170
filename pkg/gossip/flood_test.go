package gossip_test

import (
	"net"
	"runtime"
	"testing"
	"time"
)

// A flood of packets from an address that is not accepted costs no memory for each packet, and gossip goes on.
func TestFloodFromAStrangerCostsNoMemory(t *testing.T) {
	c := newTestMesh(t, 2)
	c.startAll(2, keyA)
	stranger, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 9, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	to, packet := &net.UDPAddr{IP: net.ParseIP(address("h1")), Port: c.port}, make([]byte, 192)
	const packets, pause = 20_000, 100 // a pause now and then, so that the kernel delivers most of them
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	for i := range packets {
		if _, err := stranger.WriteToUDP(packet, to); err != nil {
			t.Fatal(err)
		}
		if i%pause == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	runtime.ReadMemStats(&after)
	// Both agents themselves allocate some 10 MB a second at this interval, and a busy machine takes seconds.
	agents := uint64(20<<20*time.Since(began).Seconds() + 1)
	if got := after.TotalAlloc - before.TotalAlloc; got > packets*4<<10+agents {
		t.Errorf("%d packets of a stranger cost %d bytes each", packets, got/packets)
	}
	until(t, "h1 is proved while the flood ends", func() bool { return c.agents["h2"].Prove(t.Context(), "h1") == nil })
}
