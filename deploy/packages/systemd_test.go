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

// bootVariable asks for the test under systemd itself, which needs a machine that lends its control groups.
const bootVariable = "PROBEMESH_SYSTEMD"

// boot is the script that starts systemd as the first process of a machine: $1 is its root, $2 the name of its control group and
// $3 the hierarchies of control groups. It enters its group by itself: with a process of this machine in there too, systemd could
// not hand any controller on.
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

// booted is a bare Debian on which systemd runs.
type booted struct {
	t    testing.TB
	root string
	pid  string // of systemd, as this machine numbers it
}

func bootSystemd(t *testing.T, h hierarchies) *booted {
	t.Helper()
	root, err := os.MkdirTemp("", "booted")
	if err != nil {
		t.Fatal(err)
	}
	group := filepath.Base(root)
	t.Cleanup(func() {
		eventually(t, 30*time.Second, "the control groups are empty and gone", func() error { return h.remove(group) })
		os.RemoveAll(root)
	})
	if out, err := exec.Command("mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd,systemd-sysv,iproute2", "bookworm", root).CombinedOutput(); err != nil {
		t.Fatalf("make a Debian with systemd: %v: %s", err, out)
	}
	cmd := exec.Command("sh", "-c", boot, "sh", root, group, strings.Join(h, " "))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // and with it, by --kill-child, everything of that machine
		_ = cmd.Wait()
	})
	b := &booted{t: t, root: root}
	eventually(t, time.Minute, "systemd has started", func() error {
		child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		if b.pid = strings.TrimSpace(string(child)); err != nil || b.pid == "" {
			return fmt.Errorf("no first process: %v", err)
		}
		if state, _ := b.try("systemctl is-system-running"); state != "running" && state != "degraded" {
			return fmt.Errorf("it is %q", state)
		}
		return nil
	})
	return b
}

// try runs a line of shell on the machine.
func (b *booted) try(line string) (string, error) {
	out, err := exec.Command("nsenter", "-t", b.pid, "-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w", "sh", "-c", line).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (b *booted) run(line string) string {
	b.t.Helper()
	out, err := b.try(line)
	if err != nil {
		log, _ := b.try("journalctl --no-pager -n 30")
		b.t.Fatalf("%s: %v: %s\n%s", line, err, out, log)
	}
	return out
}

// property is what systemd says of a service.
func (b *booted) property(service, name string) string {
	b.t.Helper()
	return b.run("systemctl show --value -p " + name + " " + service)
}

// copyPackages brings the files to the machine.
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

// hurry shortens the watchdogs, and with them how often the services must speak.
func (b *booted) hurry() {
	b.t.Helper()
	for _, p := range programs {
		dir := "/run/systemd/system/" + p.Name + ".service.d"
		b.run("mkdir -p " + dir + " && printf '[Service]\\nWatchdogSec=9s\\n' >" + dir + "/hurry.conf")
	}
	b.run("systemctl daemon-reload")
}

// TestUnderSystemd is the README's section on servers to the letter, on a Debian where systemd runs: the real units with their
// filters of system calls, their control groups and their watchdogs.
func TestUnderSystemd(t *testing.T) {
	if os.Getenv(bootVariable) != "1" {
		testenv.Missing(t, bootVariable+"=1, which boots a systemd of its own on a machine with root and control groups to lend")
	}
	requireMachines(t)
	h, lacking := controlGroups()
	if lacking != "" {
		testenv.Missing(t, lacking)
	}
	b := bootSystemd(t, h)
	b.copyPackages()
	b.run("ip link set lo up; ip address add 198.18.8.1/32 dev lo; ip address add 198.18.8.2/32 dev lo")
	b.hurry()
	manual := readInstallation(t)
	for _, line := range manual.coordinator {
		b.run("cd /root && " + line)
		if strings.HasPrefix(line, "probemesh-coordinator check ") { // the example is a beginning
			b.writeCatalog()
			b.run(line)
		}
	}
	token := b.run(manual.invite[0] + " 2>/dev/null")
	for _, line := range manual.agent {
		b.run("cd /root && " + strings.ReplaceAll(line, "TOKEN", token))
	}
	b.sees()
	b.run(manual.examine[0])
	for _, p := range programs {
		b.bounded(h, p)
	}
	b.run("systemctl kill -s STOP probemesh-agent probemesh-coordinator")
	for _, p := range programs {
		eventually(t, 3*time.Minute, p.Name+" is started again by its watchdog", func() error {
			if n, state := b.property(p.Name, "NRestarts"), b.property(p.Name, "ActiveState"); n != "1" || state != "active" {
				return fmt.Errorf("%s restarts, %s", n, state)
			}
			return nil
		})
	}
	b.sees()
	for _, p := range programs {
		was := b.property(p.Name, "MainPID")
		b.run("dpkg --install /root/" + fileName(p, secondVersion, runtime.GOARCH, "deb"))
		if now := b.property(p.Name, "MainPID"); now == was || now == "0" {
			t.Errorf("after its upgrade %s runs as process %s, before as %s", p.Name, now, was)
		}
	}
	b.sees()
	for _, p := range programs {
		b.run("dpkg --remove " + p.Name)
		if state := b.property(p.Name, "ActiveState"); state != "inactive" {
			t.Errorf("after its removal %s is %s", p.Name, state)
		}
		b.run("dpkg --purge " + p.Name)
	}
	b.run("! test -e /var/lib/probemesh")
}

func (b *booted) writeCatalog() {
	b.t.Helper()
	const catalog = "regions:\n  - {name: a, city: A, country: NL, latitude: 1, longitude: 1}\n  - {name: b, city: B, country: NL, latitude: 1, longitude: 1}\n" +
		"hosts:\n  - {name: NC036, region: a, address: 198.18.8.1}\n  - {name: NC041, region: b, address: 198.18.8.2}\n"
	if err := os.WriteFile(filepath.Join(b.root, "etc/probemesh/catalog.yaml"), []byte(catalog), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// bounded compares the bounds that the kernel holds a service to with those of its unit.
func (b *booted) bounded(h hierarchies, p program) {
	b.t.Helper()
	group := "system.slice/" + p.Name + ".service"
	for property, file := range map[string]string{
		"MemoryMax": h.bound(group, "memory", "max", "limit_in_bytes"), "TasksMax": h.bound(group, "pids", "max", "max"),
	} {
		if got, want := b.run("cat "+file), b.property(p.Name, property); got != want || got == "infinity" {
			b.t.Errorf("the kernel bounds %s by %s in %s, and its unit by %s=%s", p.Name, got, file, property, want)
		}
	}
}

// sees waits until the agent's pings reach the coordinator's matrix.
func (b *booted) sees() {
	b.t.Helper()
	since := time.Now().UTC().Truncate(time.Second)
	eventually(b.t, time.Minute, "the agent's pings arrive", func() error {
		matrix, err := b.try("probemesh-coordinator matrix")
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
