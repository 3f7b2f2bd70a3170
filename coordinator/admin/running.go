package admin

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// unixSockets is where Linux lists the Unix sockets of the machine.
const unixSockets = "/proc/net/unix"

// Running returns the data directories of the coordinators that this user runs on this machine. It finds them by
// their sockets, on Linux; elsewhere it finds none. Sockets of other users are left out, since anybody can open one
// that looks like a coordinator's.
func Running(ctx context.Context) []string {
	f, err := os.Open(unixSockets)
	if err != nil {
		return nil
	}
	defer f.Close()
	return slices.DeleteFunc(listed(f), func(dir string) bool {
		var socket syscall.Stat_t
		err := syscall.Lstat(filepath.Join(dir, SocketName), &socket)
		if err != nil || int(socket.Uid) != os.Geteuid() {
			return true
		}
		dialer := net.Dialer{Timeout: dialTimeout}
		conn, err := dialer.DialContext(ctx, "unix", filepath.Join(dir, SocketName))
		if err != nil {
			return true
		}
		_ = conn.Close()
		return false
	})
}

// listed returns the directories of the admin sockets in the kernel's list, whose lines end with a socket's path.
func listed(sockets io.Reader) []string {
	var dirs []string
	for lines := bufio.NewScanner(sockets); lines.Scan(); {
		i := strings.IndexByte(lines.Text(), '/')
		if i < 0 {
			continue
		}
		path := lines.Text()[i:]
		if dir := filepath.Dir(path); filepath.Base(path) == SocketName && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
