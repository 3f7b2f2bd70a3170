package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// bootVariable enables the test under systemd, which needs a machine on which it may create control groups.
const bootVariable = "PROBEMESH_SYSTEMD"

// boot is the script that starts systemd as process 1 of a machine: $1 is its root, $2 the name of its control group
// and $3 the hierarchies. The script enters the group itself, since systemd cannot delegate controllers from a group
// that has a process of the outer machine.
const boot = `exec unshare --fork --kill-child --pid --mount --net --uts --ipc --propagation private sh -c '
set -e
for h in $3; do
  mkdir -p /sys/fs/cgroup/$h/$2
  echo 0 >/sys/fs/cgroup/$h/$2/cgroup.procs
done
exec unshare --cgroup sh -c "$4" sh "$1" "$3"' sh "$@" '
set -e
hostname bare
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t sysfs sysfs "$1/sys"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
if [ "$2" = . ]; then
  mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
else
  mount -t tmpfs tmpfs "$1/sys/fs/cgroup"
  for h in $2; do
    mkdir "$1/sys/fs/cgroup/$h"
    case $h in
    systemd) mount -t cgroup -o none,name=systemd cgroup "$1/sys/fs/cgroup/$h" ;;
    unified) mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup/$h" ;;
    *) mount -t cgroup -o $h cgroup "$1/sys/fs/cgroup/$h" ;;
    esac
  done
fi
exec chroot "$1" env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system'
`

// booted is a bare Debian that runs systemd.
type booted struct {
	t    testing.TB
	root string
	pid  string // of its process 1, as the test machine numbers it
}

// bootSystemd boots a Debian with systemd, until the test ends.
func bootSystemd(t *testing.T, h hierarchies) *booted {
	t.Helper()
	root, err := os.MkdirTemp("", "booted")
	if err != nil {
		t.Fatal(err)
	}
	group := filepath.Base(root)
	t.Cleanup(func() {
		eventually(t, 2*time.Minute, "the control groups are removed", func() error { return h.remove(group) })
		os.RemoveAll(root)
	})
	debootstrap := exec.Command("mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd,systemd-sysv,iproute2",
		"bookworm", root)
	if out, err := debootstrap.CombinedOutput(); err != nil {
		t.Fatalf("build a Debian with systemd: %v: %s", err, out)
	}
	cmd := exec.Command("sh", "-c", boot, "sh", root, group, strings.Join(h, " "))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // kills all processes of that machine too, by --kill-child
		_ = cmd.Wait()
	})
	b := &booted{t: t, root: root}
	eventually(t, 3*time.Minute, "systemd has started", func() error {
		child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		if b.pid = strings.TrimSpace(string(child)); err != nil || b.pid == "" {
			return fmt.Errorf("no first process: %v", err)
		}
		if state, _ := b.try("systemctl is-system-running"); state != "running" && state != "degraded" {
			return fmt.Errorf("systemd is %q", state)
		}
		return nil
	})
	return b
}

// try runs a line of shell on the machine.
func (b *booted) try(line string) (string, error) {
	enter := exec.Command("nsenter", "-t", b.pid, "-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w", "sh", "-c", line)
	out, err := enter.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run runs a line of shell that must succeed.
func (b *booted) run(line string) string {
	b.t.Helper()
	out, err := b.try(line)
	if err != nil {
		log, _ := b.try("journalctl --no-pager -n 30")
		b.t.Fatalf("%s: %v: %s\n%s", line, err, out, log)
	}
	return out
}

// property returns a property of a service, as systemctl shows it.
func (b *booted) property(service, name string) string {
	b.t.Helper()
	return b.run("systemctl show --value -p " + name + " " + service)
}

// copyPackages copies both versions of the packages to the machine's /root.
func (b *booted) copyPackages() {
	b.t.Helper()
	for _, p := range programs {
		for _, version := range []string{firstVersion, secondVersion} {
			file := packageFile(b.t, p, version, "deb")
			if out, err := exec.Command("cp", file, filepath.Join(b.root, "root")).CombinedOutput(); err != nil {
				b.t.Fatalf("%v: %s", err, out)
			}
		}
	}
}

// shortenWatchdogs sets the services' watchdogs to 9 s, so that the test need not wait a minute for one.
func (b *booted) shortenWatchdogs() {
	b.t.Helper()
	for _, p := range programs {
		dir := "/run/systemd/system/" + p.Name + ".service.d"
		b.run("mkdir -p " + dir + " && printf '[Service]\\nWatchdogSec=9s\\n' >" + dir + "/watchdog.conf")
	}
	b.run("systemctl daemon-reload")
}

// TestUnderSystemd runs install.md to the letter, on a Debian that runs systemd: the real units with their system call
// filters, control groups and watchdogs.
func TestUnderSystemd(t *testing.T) {
	if os.Getenv(bootVariable) != "1" {
		testenv.SkipOrFail(t, bootVariable+"=1, root and control groups, since it boots a systemd of its own")
	}
	requireMachines(t)
	h, lacking := controlGroups()
	if lacking != "" {
		testenv.SkipOrFail(t, lacking)
	}
	b := bootSystemd(t, h)
	b.copyPackages()
	b.run("ip link set lo up; ip address add 198.18.8.1/32 dev lo; ip address add 198.18.8.2/32 dev lo")
	b.shortenWatchdogs()
	manual := readInstallation(t)
	b.install(manual)
	b.awaitPings()
	b.run(manual.examine[0])
	for _, p := range programs {
		b.checkLimits(h, p)
	}
	b.run("journalctl --unit probemesh-coordinator --priority warning --since today")
	b.run("systemctl kill -s STOP probemesh-agent probemesh-coordinator")
	for _, p := range programs {
		eventually(t, 3*time.Minute, p.Name+" is restarted by its watchdog", func() error {
			n, state := b.property(p.Name, "NRestarts"), b.property(p.Name, "ActiveState")
			if n == "0" || state != "active" {
				return fmt.Errorf("%s restarts, %s", n, state)
			}
			return nil
		})
	}
	b.awaitPings()
	for _, p := range programs {
		before := b.property(p.Name, "MainPID")
		b.run("dpkg --install /root/" + fileName(p, secondVersion, runtime.GOARCH, "deb"))
		if after := b.property(p.Name, "MainPID"); after == before || after == "0" {
			t.Errorf("the upgrade of %s does not restart it: process %s before, %s after", p.Name, before, after)
		}
	}
	b.awaitPings()
	for _, p := range programs {
		b.run("dpkg --remove " + p.Name)
		if state := b.property(p.Name, "ActiveState"); state != "inactive" {
			t.Errorf("after its removal %s is %s, want inactive", p.Name, state)
		}
		b.run("dpkg --purge " + p.Name)
	}
	b.run("! test -e /var/lib/probemesh")
}

// install runs the manual's commands for the coordinator's machine and for a server, both on this one.
func (b *booted) install(manual installation) {
	b.t.Helper()
	for _, line := range manual.coordinator {
		b.run("cd /root && " + line)
		if strings.HasPrefix(line, "probemesh-coordinator check ") {
			b.writeCatalog() // in place of the example
			b.run(line)
		}
	}
	token := b.run(manual.invite[0] + " 2>/dev/null")
	for _, line := range manual.agent {
		b.run("cd /root && " + strings.ReplaceAll(line, "TOKEN", token))
	}
}

// writeCatalog writes a catalog of two addresses of this machine.
func (b *booted) writeCatalog() {
	b.t.Helper()
	const catalog = "regions: [{name: a}, {name: b}]\nhosts:\n" +
		"  - {name: NC036, region: a, address: 198.18.8.1}\n  - {name: NC041, region: b, address: 198.18.8.2}\n"
	if err := os.WriteFile(filepath.Join(b.root, "etc/probemesh/catalog.yaml"), []byte(catalog), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// checkLimits compares the limits that the kernel enforces on a service with those of its unit.
func (b *booted) checkLimits(h hierarchies, p program) {
	b.t.Helper()
	group := "system.slice/" + p.Name + ".service"
	for property, file := range map[string]string{
		"MemoryMax": h.bound(group, "memory", "max", "limit_in_bytes"),
		"TasksMax":  h.bound(group, "pids", "max", "max"),
	} {
		if got, want := b.run("cat "+file), b.property(p.Name, property); got != want || got == "infinity" {
			b.t.Errorf("%s: the limit in %s is %s, want %s=%s", p.Name, file, got, property, want)
		}
	}
}

// awaitPings waits until the coordinator's matrix has a ping of the agent that is newer than this call.
func (b *booted) awaitPings() {
	b.t.Helper()
	since := time.Now().UTC().Truncate(time.Second)
	eventually(b.t, 3*time.Minute, "the agent's pings arrive", func() error {
		matrix, err := b.try("probemesh-coordinator matrix") // "+" is a vote for ok
		if err != nil || !strings.Contains(matrix, "NC041 ping +") {
			return fmt.Errorf("%v: %s", err, matrix)
		}
		_, asOf, _ := strings.Cut(matrix, "as of ")
		if at, err := time.Parse("2006-01-02 15:04:05Z", asOf); err != nil || at.Before(since) {
			return fmt.Errorf("as of %s: %v", asOf, err)
		}
		return nil
	})
}
