package probe_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// inNamespace runs the test's body in a network namespace of its own, in which 198.18.9.2 and 2001:db8:9::2 are on a
// link that delivers nothing. Sockets must be opened by the body's own goroutine, since a namespace belongs to a
// thread.
func inNamespace(t *testing.T, body func()) {
	t.Helper()
	testenv.RequireRoot(t)
	testenv.RequirePrograms(t, map[string]string{"ip": "iproute2"})
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread, and the namespace with it, ends with the goroutine
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			t.Errorf("no network namespace: %v", err)
			return
		}
		for _, line := range []string{
			"link set lo up",
			"link add forged type veth peer name sink",
			"link set sink up",
			"addr add 198.18.9.1/24 dev forged",
			"addr add 2001:db8:9::1/64 dev forged nodad",
			"link set forged up",
			"neigh replace 198.18.9.2 lladdr 02:00:00:00:00:02 dev forged",
			"neigh replace 2001:db8:9::2 lladdr 02:00:00:00:00:02 dev forged",
		} {
			if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
				t.Errorf("ip %s: %v: %s", line, err, out)
				return
			}
		}
		body()
	}()
	<-done
}

// forge sends forged "host unreachable" messages until ctx ends, as an attacker would who cannot see the traffic: one
// about each possible echo request to the target. Each quotes only the header, and one of them has the right
// identifier.
func forge(ctx context.Context, conn *icmp.PacketConn, us, target netip.Addr) {
	echo := []byte{8, 0, 0, 0, 0, 0, 0, 0}
	m := icmp.Message{Type: ipv4.ICMPTypeDestinationUnreachable, Code: 1}
	header := make([]byte, ipv4.HeaderLen)
	header[0], header[9] = 0x45, 1
	header[3] = byte(ipv4.HeaderLen + len(echo))
	copy(header[12:], us.AsSlice())
	copy(header[16:], target.AsSlice())
	var checksum []byte
	if target.Is6() {
		echo[0] = 128
		m = icmp.Message{Type: ipv6.ICMPTypeDestinationUnreachable, Code: 3}
		header = make([]byte, ipv6.HeaderLen)
		header[0], header[5], header[6] = 0x60, byte(len(echo)), 58
		copy(header[8:], us.AsSlice())
		copy(header[24:], target.AsSlice())
		checksum = icmp.IPv6PseudoHeader(us.AsSlice(), us.AsSlice())
	}
	for ctx.Err() == nil {
		for id := range 1 << 16 {
			binary.BigEndian.PutUint16(echo[4:], uint16(id))
			m.Body = &icmp.DstUnreach{Data: append(append([]byte{}, header...), echo...)}
			data, err := m.Marshal(checksum)
			if err == nil {
				_, _ = conn.WriteTo(data, &net.IPAddr{IP: us.AsSlice()})
			}
			if ctx.Err() != nil {
				return
			}
		}
	}
}

func TestForgedErrorsEndNoPing(t *testing.T) {
	for _, test := range []struct{ us, target, listen string }{
		{"198.18.9.1", "198.18.9.2", "ip4:icmp"},
		{"2001:db8:9::1", "2001:db8:9::2", "ip6:ipv6-icmp"},
	} {
		t.Run(test.listen, func(t *testing.T) {
			inNamespace(t, func() {
				us, target := netip.MustParseAddr(test.us), netip.MustParseAddr(test.target)
				stranger, err := icmp.ListenPacket(test.listen, test.us)
				if err != nil {
					t.Error(err)
					return
				}
				defer stranger.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				forging := make(chan struct{})
				go func() { defer close(forging); forge(ctx, stranger, us, target) }()
				_, err = probe.Kernel{}.Ping(ctx, target)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a stranger ended the ping: %v", err)
				}
				cancel()
				<-forging
			})
		})
	}
}

// TestARoutersErrorEndsAPing has a real router, the kernel of another namespace, refuse to carry a ping on.
func TestARoutersErrorEndsAPing(t *testing.T) {
	testenv.RequireRoot(t)
	testenv.RequirePrograms(t, map[string]string{"ip": "iproute2", "sysctl": "procps"})
	router := fmt.Sprintf("probemesh-router-%d", os.Getpid())
	run := func(line string) {
		t.Helper()
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Errorf("ip %s: %v: %s", line, err, out)
		}
	}
	run("netns add " + router)
	t.Cleanup(func() { run("netns del " + router) })
	inNamespace(t, func() {
		for _, line := range []string{
			"link set sink netns " + router,
			"-n " + router + " link set lo up",
			"-n " + router + " addr add 198.18.9.2/24 dev sink",
			"-n " + router + " addr add 2001:db8:9::2/64 dev sink nodad",
			"-n " + router + " link set sink up",
			"-n " + router + " route add unreachable 198.18.77.0/24",
			"-n " + router + " -6 route add unreachable 2001:db8:77::/64",
			"netns exec " + router + " sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
			"neigh flush dev forged",
			"neigh del 198.18.9.2 dev forged",
			"neigh del 2001:db8:9::2 dev forged",
			"route add 198.18.77.0/24 via 198.18.9.2",
			"-6 route add 2001:db8:77::/64 via 2001:db8:9::2",
		} {
			run(line)
		}
		for _, target := range []string{"198.18.77.1", "2001:db8:77::1"} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			_, err := probe.Kernel{}.Ping(ctx, netip.MustParseAddr(target))
			cancel()
			var unreachable *probe.UnreachableError
			if !errors.As(err, &unreachable) || !unreachable.Router.IsValid() {
				t.Errorf("%s: %v", target, err)
			}
		}
	})
}
