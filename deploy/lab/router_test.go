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

// routerVariable tells the test binary, started again, to be the WAN: its value is the sites in JSON. It reads changes of the
// paths from its standard input, a matrix a line, and answers each with a line.
const routerVariable = "PROBEMESH_LAB_ROUTER"

// device is the name of the TUN device in every site.
const device = "wan0"

// site is a namespace with one address on the WAN.
type site struct{ Space, Address string }

const (
	packetMax = 2048   // bytes; devices have an MTU of 1500
	flightMax = 50_000 // packets under way; more are dropped, as a full router does
)

// packet is one on its way.
type packet struct {
	at   time.Time
	to   int
	data []byte
}

// flight is the packets under way, the next to arrive first.
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

// router carries packets between the sites. One goroutine owns the flight; one a site reads.
type router struct {
	devices []*os.File
	index   map[netip.Addr]int
	sent    chan packet // as they are to arrive

	mu    sync.Mutex
	paths [][]path
}

// route is the router's whole life: it ends with its standard input.
func route(config string, in io.Reader, out io.Writer) error {
	var sites []site
	if err := json.Unmarshal([]byte(config), &sites); err != nil {
		return err
	}
	r := &router{index: map[netip.Addr]int{}, sent: make(chan packet, 1024)}
	for i, s := range sites {
		f, err := openTUN(s.Space)
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

// read takes what the site sends, and decides the fate of each packet.
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
		for _, after := range r.path(from, to).fate(random) {
			r.sent <- packet{now.Add(after), to, data[:n]}
		}
	}
}

// destination is the site that an IPv4 packet is for.
func (r *router) destination(data []byte) (site int, ok bool) {
	const header, version4 = 20, 4
	if len(data) < header || data[0]>>4 != version4 {
		return 0, false
	}
	to, _ := netip.AddrFromSlice(data[16:20])
	site, ok = r.index[to]
	return site, ok
}

func (r *router) path(from, to int) path {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paths == nil {
		return path{Cut: true}
	}
	return r.paths[from][to]
}

// carry hands each packet to its site when its time has come.
func (r *router) carry() {
	var under flight
	timer := time.NewTimer(time.Hour)
	for {
		if len(under) > 0 {
			timer.Reset(time.Until(under[0].at))
		}
		select {
		case p := <-r.sent:
			if len(under) < flightMax {
				heap.Push(&under, p)
			}
		case <-timer.C:
		}
		for now := time.Now(); len(under) > 0 && !under[0].at.After(now); {
			p := heap.Pop(&under).(packet)
			_, _ = r.devices[p.to].Write(p.data) // a device that is down drops it
		}
	}
}

// openTUN makes the site's device. The thread that entered the namespace is given up with the goroutine.
func openTUN(space string) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		f, err := openTUNHere(space)
		done <- result{f, err}
	}()
	r := <-done
	return r.file, r.err
}

func openTUNHere(space string) (*os.File, error) {
	if err := enter(space); err != nil {
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
		return nil, fmt.Errorf("make the device %s: %w", device, err)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}
