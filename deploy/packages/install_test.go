package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Two versions, so that one can be upgraded to the other.
const (
	firstVersion  = "0.1.0"
	secondVersion = "0.1.1"
)

// dist is where both versions are, once packages has made them.
var dist string

// packages makes both versions once, for this machine's architecture.
var packages = sync.OnceValue(func() error {
	for version, formats := range map[string][]string{firstVersion: {"deb", "rpm"}, secondVersion: {"deb"}} {
		o := options{version: version, out: dist, architectures: []string{runtime.GOARCH}, formats: formats}
		if _, err := makePackages(context.Background(), o); err != nil {
			return err
		}
	}
	return nil
})

func TestMain(m *testing.M) {
	var err error
	if dist, err = os.MkdirTemp("", "packages-test"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dist)
	os.Exit(code)
}

func packageFile(t testing.TB, p program, version, format string) string {
	t.Helper()
	if err := packages(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dist, fileName(p, version, runtime.GOARCH, format))
}

// rootVariable names a tarball of a bare Debian to use instead of making one, for those who run this test often.
const rootVariable = "PROBEMESH_DEBIAN_ROOT"

// bareDebian is a tarball of Debian as its installer leaves it, less everything that is not required.
func bareDebian(t testing.TB) string {
	t.Helper()
	if tarball := os.Getenv(rootVariable); tarball != "" {
		return tarball
	}
	tarball := filepath.Join(t.TempDir(), "bookworm.tar")
	began := time.Now()
	if out, err := exec.Command("mmdebstrap", "--quiet", "--variant=minbase", "bookworm", tarball).CombinedOutput(); err != nil {
		t.Fatalf("make a bare Debian: %v: %s", err, out)
	}
	t.Logf("a bare Debian: %v", time.Since(began).Round(time.Second))
	return tarball
}

// fleet is the machines of the story: one for the coordinator, one to install an agent on, and three that are there already.
type fleet struct {
	t                   testing.TB
	coordinator, server *machine
	others              []*machine
}

var fleetNames = []string{"NC036", "NC041", "NC033", "NC035"} // the first is the server
var fleetRegions = []string{"amsterdam", "new-york", "toronto", "sydney"}

// TestFromTwoPackageFilesToVotesThatCount is the README's section on servers, step by step, with the one exception that
// systemctl is played: what a unit says is read from the installed file and done.
func TestFromTwoPackageFilesToVotesThatCount(t *testing.T) {
	requireMachines(t)
	for _, p := range programs {
		packageFile(t, p, firstVersion, "deb") // made before the clock runs
	}
	tarball := bareDebian(t)
	n := newNetwork(t)
	f := &fleet{t: t, coordinator: n.add("coordinator", tarball), server: n.add("server", tarball)}
	for i := range fleetNames[1:] {
		f.others = append(f.others, n.add(fmt.Sprintf("other%d", i), ""))
	}
	for _, m := range []*machine{f.coordinator, f.server} {
		m.playSystemctl()
	}

	began := time.Now()
	serving := f.installCoordinator()
	running := f.installAgent()
	installed := time.Since(began)
	for i, m := range f.others {
		f.joinOther(m, fleetNames[i+1])
	}
	eventually(t, time.Minute, "the new agent's vote counts", func() error { return f.counts("ok") })
	t.Logf("from a bare Debian and two package files to an agent that runs: %v; to its votes, with three more agents: %v",
		installed.Round(100*time.Millisecond), time.Since(began).Round(100*time.Millisecond))

	f.checkProcess(running, "0000000000002000") // CAP_NET_RAW
	f.checkProcess(serving, "0000000000000000")
	running.hear("WATCHDOG=1", time.Minute)
	serving.hear("WATCHDOG=1", time.Minute)
	running = f.upgrade(f.server, programs[0], running)
	serving = f.upgrade(f.coordinator, programs[1], serving)
	eventually(t, time.Minute, "all is up after both upgrades", func() error { return f.counts("ok") })
	f.checkVersion()
	running.stop()
	serving.stop()
	f.removeAndPurge(f.server, programs[0], "/var/lib/probemesh/agent/identity.json")
	f.removeAndPurge(f.coordinator, programs[1], "/var/lib/probemesh/coordinator/view.db")
}

// installCoordinator installs the package, writes a catalog, checks it and starts the service.
func (f *fleet) installCoordinator() *service {
	f.t.Helper()
	m := f.coordinator
	m.install(programs[1], firstVersion)
	m.run("cp", "/usr/share/doc/probemesh-coordinator/examples/catalog.yaml", "/etc/probemesh/catalog.yaml")
	m.run("probemesh-coordinator", "check", "/etc/probemesh/catalog.yaml")
	m.write("/etc/probemesh/catalog.yaml", f.catalog(), 0o644)
	m.run("probemesh-coordinator", "check", "/etc/probemesh/catalog.yaml")
	s := m.start("probemesh-coordinator")
	eventually(f.t, 30*time.Second, "the coordinator is ready", func() error {
		_, err := f.get("/readyz")
		return err
	})
	return s
}

// installAgent installs the package, lets root join and starts the service.
func (f *fleet) installAgent() *service {
	f.t.Helper()
	m := f.server
	m.install(programs[0], firstVersion)
	token := f.coordinator.run("probemesh-coordinator", "invite", fleetNames[0])
	m.run("probemesh-agent", "join", token)
	uid, gid, _ := m.account("probemesh-agent")
	err := filepath.Walk(m.file("/var/lib/probemesh/agent"), func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		if int(owner.Uid) != uid || int(owner.Gid) != gid || info.Mode().Perm()&0o077 != 0 {
			f.t.Errorf("after join %s is %v of %d:%d, want the service's user alone, %d:%d", path, info.Mode(), owner.Uid, owner.Gid, uid, gid)
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return m.start("probemesh-agent")
}

// joinOther runs the packaged agent on a machine where nothing is installed.
func (f *fleet) joinOther(m *machine, host string) {
	f.t.Helper()
	program, state := f.server.file("/usr/bin/probemesh-agent"), f.t.TempDir()
	m.run(program, "join", f.coordinator.run("probemesh-coordinator", "invite", host), "--state", state)
	cmd := exec.Command("ip", "netns", "exec", m.space, program, "run", "--state", state)
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it was told to end
	})
}

func (f *fleet) catalog() string {
	var b strings.Builder
	b.WriteString("regions:\n")
	for _, region := range fleetRegions {
		fmt.Fprintf(&b, "  - {name: %s, city: %[1]s, country: NL, latitude: 1, longitude: 1}\n", region)
	}
	b.WriteString("hosts:\n")
	for i, m := range append([]*machine{f.server}, f.others...) {
		fmt.Fprintf(&b, "  - {name: %s, region: %s, address: %s, public: true}\n", fleetNames[i], fleetRegions[i], m.address)
	}
	return b.String()
}

func (f *fleet) get(path string) (string, error) {
	return f.coordinator.outside("curl", "-sS", "--fail", "http://"+f.coordinator.address+":8080"+path)
}

// counts is nil when every other host is up and the server's region votes as wanted on each.
func (f *fleet) counts(want string) error {
	body, err := f.get("/api/v1/matrix")
	if err != nil {
		return err
	}
	var matrix struct {
		Checks []struct {
			Host, Check, Verdict string
			Regions              []struct{ Region, Vote string }
		}
	}
	if err := json.Unmarshal([]byte(body), &matrix); err != nil {
		return err
	}
	votes := map[string]string{}
	for _, c := range matrix.Checks {
		if c.Verdict != "up" {
			return fmt.Errorf("%s %s is %s", c.Host, c.Check, c.Verdict)
		}
		for _, r := range c.Regions {
			if r.Region == fleetRegions[0] {
				votes[c.Host] = r.Vote
			}
		}
	}
	for _, host := range fleetNames[1:] {
		if votes[host] != want {
			return fmt.Errorf("on %s the server votes %q", host, votes[host])
		}
	}
	return nil
}

// checkVersion asks the operators' side who speaks.
func (f *fleet) checkVersion() {
	f.t.Helper()
	out := f.server.run("probemesh-agent", "--version")
	if !strings.Contains(out, secondVersion) {
		f.t.Errorf("after the upgrade the agent says %q", out)
	}
}

// checkProcess compares the running service with what its unit promises.
func (f *fleet) checkProcess(s *service, capabilities string) {
	f.t.Helper()
	uid, _, _ := s.m.account(s.unit.last("User"))
	for key, want := range map[string]string{
		"Uid": strings.TrimSpace(strings.Repeat(fmt.Sprintf("%d ", uid), 4)), "NoNewPrivs": "1", "CapEff": capabilities, "CapBnd": capabilities,
	} {
		if got := s.status(key); got != want {
			f.t.Errorf("%s runs with %s %s, want %s", s.unit.command()[0], key, got, want)
		}
	}
	f.t.Logf("%s: %s at its peak of MemoryMax=%s, %s threads of TasksMax=%s", s.unit.command()[0], s.status("VmHWM"), s.unit.last("MemoryMax"),
		s.status("Threads"), s.unit.last("TasksMax"))
}
