package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// requireMachines skips a test that installs packages unless long tests were asked for and this machine can run them.
func requireMachines(t testing.TB) {
	t.Helper()
	testenv.RequireRoot(t)
	testenv.RequirePrograms(t, map[string]string{
		"mmdebstrap": "mmdebstrap", "ip": "iproute2", "curl": "curl", "rpm": "rpm", "rpmbuild": "rpm",
		"lintian": "lintian", "dpkg-deb": "dpkg", "systemd-analyze": "systemd", "man": "man-db",
	})
	testenv.RequireLong(t)
}

// machine is a bare Debian in a directory, entered by chroot, with a network namespace of its own.
type machine struct {
	t       testing.TB
	root    string // its directory; empty for the test machine's own files
	space   string // its network namespace
	address string
	format  string // of its packages: deb or rpm
}

// network is a switch that connects machines. Their addresses are from the block for benchmarks, RFC 2544, which is
// routed nowhere.
type network struct {
	t        testing.TB
	prefix   string
	machines int
}

// newNetwork creates the switch, a bridge in a namespace of its own.
func newNetwork(t testing.TB) *network {
	n := &network{t: t, prefix: fmt.Sprintf("pk%x", os.Getpid()&0xffff)}
	n.space("switch")
	ip(t, "-n", n.prefix+"-switch", "link", "add", "bridge", "type", "bridge")
	ip(t, "-n", n.prefix+"-switch", "link", "set", "bridge", "up")
	return n
}

// space creates a network namespace and returns its name.
func (n *network) space(name string) string {
	n.t.Helper()
	space := n.prefix + "-" + name
	ip(n.t, "netns", "add", space)
	n.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", space).Run() })
	ip(n.t, "-n", space, "link", "set", "lo", "up")
	return space
}

// add connects a new machine to the switch. Its files are unpacked from the tarball, if one is named.
func (n *network) add(name, tarball string) *machine {
	n.t.Helper()
	n.machines++
	m := &machine{t: n.t, space: n.space(name), address: fmt.Sprintf("198.18.7.%d", n.machines)}
	port := fmt.Sprintf("port%d", n.machines)
	ip(n.t, "-n", m.space, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", n.prefix+"-switch")
	ip(n.t, "-n", n.prefix+"-switch", "link", "set", port, "master", "bridge", "up")
	ip(n.t, "-n", m.space, "address", "add", m.address+"/24", "dev", "eth0")
	ip(n.t, "-n", m.space, "link", "set", "eth0", "up")
	if tarball == "" {
		return m
	}
	var err error
	if m.root, err = os.MkdirTemp("", "machine"); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { os.RemoveAll(m.root) })
	if err := os.Chmod(m.root, 0o755); err != nil {
		n.t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-C", m.root, "-xpf", tarball).CombinedOutput(); err != nil {
		n.t.Fatalf("unpack %s: %v: %s", tarball, err, out)
	}
	return m
}

// ip runs iproute2's ip.
func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// file translates a path on the machine to one on the test machine.
func (m *machine) file(path string) string { return filepath.Join(m.root, path) }

// try runs a command on the machine as root, for at most five minutes.
func (m *machine) try(command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	args := []string{"netns", "exec", m.space}
	if m.root != "" {
		args = append(args, "chroot", m.root)
	}
	cmd := exec.CommandContext(ctx, "ip", append(args, command...)...)
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C",
		"DEBIAN_FRONTEND=noninteractive",
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s%s", strings.Join(command, " "), err, out, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), err
}

// run runs a command on the machine that must succeed, and returns its standard output.
func (m *machine) run(command ...string) string {
	m.t.Helper()
	out, err := m.try(command...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// write writes a file on the machine.
func (m *machine) write(path, text string, mode os.FileMode) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.file(path)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.file(path), []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
}

// exists reports whether a path exists on the machine.
func (m *machine) exists(path string) bool {
	_, err := os.Lstat(m.file(path))
	return err == nil
}

// account looks a user up on the machine.
func (m *machine) account(name string) (uid, gid int, ok bool) {
	line, err := m.try("getent", "passwd", name)
	fields := strings.Split(line, ":")
	if err != nil || len(fields) < 4 {
		return 0, 0, false
	}
	uid, _ = strconv.Atoi(fields[2])
	gid, _ = strconv.Atoi(fields[3])
	return uid, gid, true
}

// service is a program that runs as its unit says.
type service struct {
	m      *machine
	unit   unit
	cmd    *exec.Cmd
	log    *os.File
	notify *net.UnixConn
	done   chan error
}

// start runs a service as systemd would: with the unit's user, capabilities, limit of files and environment, a
// read-only root except for the state directory and a /tmp of its own, and a notification socket. It waits until the
// service is ready.
func (m *machine) start(name string) *service {
	m.t.Helper()
	u := readUnit(m.t, m.file("/usr/lib/systemd/system/"+name+".service"))
	s := &service{m: m, unit: u, done: make(chan error, 1)}
	s.listen()
	var err error
	if s.log, err = os.CreateTemp(m.t.TempDir(), name); err != nil {
		m.t.Fatal(err)
	}
	state := "/var/lib/" + u.last("StateDirectory")
	const mountThenRun = `set -e; mount --bind "$1" "$1"; mount --bind "$1$2" "$1$2"; mount -t tmpfs tmpfs "$1/tmp"
mount -o remount,bind,ro "$1"; shift 2; exec "$@"`
	args := []string{"netns", "exec", m.space, "unshare", "--mount", "--propagation", "private"}
	args = append(args, "sh", "-c", mountThenRun, "sh", m.root, state, "chroot", m.root)
	args = append(append(args, u.limits()...), u.environment(state)...)
	s.cmd = exec.Command("ip", append(args, u.command()...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	m.t.Cleanup(s.end)
	s.awaitNotification("READY=1", 2*time.Minute)
	return s
}

// notifySocket is the path of the service's $NOTIFY_SOCKET, at which systemd would listen.
const notifySocket = "/run/notify"

// listen opens the notification socket.
func (s *service) listen() {
	s.m.t.Helper()
	path := s.m.file(notifySocket)
	_ = os.Remove(path) // left by an earlier start
	var err error
	if s.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}); err != nil {
		s.m.t.Fatal(err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		s.m.t.Fatal(err)
	}
}

// awaitNotification waits for a notification as in sd_notify(3): READY=1 or WATCHDOG=1.
func (s *service) awaitNotification(state string, within time.Duration) {
	s.m.t.Helper()
	_ = s.notify.SetReadDeadline(time.Now().Add(within)) // fails on a closed socket only
	data := make([]byte, 4096)
	for {
		n, err := s.notify.Read(data)
		if err != nil {
			s.m.t.Fatalf("the service does not notify systemd of %s: %v", state, err)
		}
		if strings.Contains(string(data[:n]), state) {
			return
		}
	}
}

// stop stops the service as systemd would, and waits until it has ended.
func (s *service) stop() {
	s.m.t.Helper()
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case err := <-s.done:
		s.done <- err
		if err != nil {
			s.m.t.Errorf("%s ended with %v", s.unit.command()[0], err)
		}
	case <-time.After(30 * time.Second):
		s.m.t.Errorf("%s did not end within 30 s of SIGTERM", s.unit.command()[0])
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		s.done <- <-s.done
	}
}

// end stops the service after the test, and shows the end of its log if the test failed.
func (s *service) end() {
	const tail = 4000 // bytes
	s.stop()
	if log, _ := os.ReadFile(s.log.Name()); s.m.t.Failed() {
		s.m.t.Logf("log of %s:\n%s", s.unit.command()[0], bytes.TrimSpace(log[max(0, len(log)-tail):]))
	}
	s.log.Close()
	s.notify.Close()
}

// status returns a value of the service's /proc/PID/status.
func (s *service) status(key string) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.m.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return ""
}

// eventually polls until the condition returns nil. After the time given it fails the test with the last error.
func eventually(t testing.TB, within time.Duration, what string, condition func() error) {
	t.Helper()
	err := errors.New("never polled")
	for began := time.Now(); time.Since(began) < within; time.Sleep(100 * time.Millisecond) {
		if err = condition(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %v: %v", what, within, err)
}
