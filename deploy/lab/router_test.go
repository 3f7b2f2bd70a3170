package lab

import (
	"bufio"
	"container/heap"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// routerVariable makes the test binary run as the WAN's router. Its value is the sites as JSON. The router reads
// matrices of paths from its standard input, one JSON line each, and acknowledges each with a line.
const routerVariable = "PROBEMESH_LAB_ROUTER"

// device is the name of the TUN device in every site.
const device = "wan0"

// site is a namespace with one address on the WAN.
type site struct{ Namespace, Address string }

const (
	packetMax = 2048   // bytes; devices have an MTU of 1500
	flightMax = 50_000 // packets in flight; more are dropped, as a full router does
)

// packet is a packet in flight.
type packet struct {
	at   time.Time // of its arrival
	to   int       // site
	data []byte
}

// flight is a heap of the packets in flight, by time of arrival.
type flight []packet

func (f flight) Len() int           { return len(f) }
func (f flight) Less(i, j int) bool { return f[i].at.Before(f[j].at) }
func (f flight) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *flight) Push(x any)        { *f = append(*f, x.(packet)) }
func (f *flight) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

// router forwards packets between the sites. One goroutine per site reads packets, and one owns the packets in flight.
type router struct {
	devices []*os.File
	index   map[netip.Addr]int
	sent    chan packet

	mu    sync.Mutex
	paths [][]path
}

// route runs the router until its standard input ends.
func route(config string, in io.Reader, out io.Writer) error {
	var sites []site
	if err := json.Unmarshal([]byte(config), &sites); err != nil {
		return err
	}
	r := &router{index: map[netip.Addr]int{}, sent: make(chan packet, 1024)}
	for i, s := range sites {
		f, err := openTUN(s.Namespace)
		if err != nil {
			return err
		}
		r.devices = append(r.devices, f)
		r.index[netip.MustParseAddr(s.Address)] = i
	}
	for i := range r.devices {
		go r.read(i)
	}
	go r.carry()
	fmt.Fprintln(out, "ready")
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var paths [][]path
		if err := json.Unmarshal(lines.Bytes(), &paths); err != nil {
			return err
		}
		r.mu.Lock()
		r.paths = paths
		r.mu.Unlock()
		fmt.Fprintln(out, "done")
	}
	return lines.Err()
}

// read reads packets from a site and decides when their copies arrive, if at all.
func (r *router) read(from int) {
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(from)))
	for {
		data := make([]byte, packetMax)
		n, err := r.devices[from].Read(data)
		if err != nil {
			fmt.Fprintln(os.Stderr, "read:", err)
			return
		}
		to, ok := r.destination(data[:n])
		if !ok {
			continue
		}
		now := time.Now()
		for _, after := range r.path(from, to).arrivals(random) {
			r.sent <- packet{now.Add(after), to, data[:n]}
		}
	}
}

// destination returns the site that an IPv4 packet is addressed to.
func (r *router) destination(data []byte) (site int, ok bool) {
	const header, version4 = 20, 4
	if len(data) < header || data[0]>>4 != version4 {
		return 0, false
	}
	to, _ := netip.AddrFromSlice(data[16:20])
	site, ok = r.index[to]
	return site, ok
}

// path returns the present path. Until the first matrix arrives every packet is dropped.
func (r *router) path(from, to int) path {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paths == nil {
		return path{Cut: true}
	}
	return r.paths[from][to]
}

// carry delivers each packet to its site at its time of arrival.
func (r *router) carry() {
	var inFlight flight
	timer := time.NewTimer(time.Hour)
	for {
		if len(inFlight) > 0 {
			timer.Reset(time.Until(inFlight[0].at))
		}
		select {
		case p := <-r.sent:
			if len(inFlight) < flightMax {
				heap.Push(&inFlight, p)
			}
		case <-timer.C:
		}
		for now := time.Now(); len(inFlight) > 0 && !inFlight[0].at.After(now); {
			p := heap.Pop(&inFlight).(packet)
			_, _ = r.devices[p.to].Write(p.data) // a device that is down drops it
		}
	}
}

// openTUN creates the site's TUN device. As in server.dial, the thread that entered the namespace ends with the
// goroutine.
func openTUN(namespace string) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		f, err := openTUNHere(namespace)
		done <- result{f, err}
	}()
	r := <-done
	return r.file, r.err
}

// openTUNHere creates the device on the calling thread, which stays in the namespace.
func openTUNHere(namespace string) (*os.File, error) {
	if err := enter(namespace); err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(device)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, fmt.Errorf("create the device %s: %w", device, err)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}
