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

// The tests install the first version and upgrade to the second.
const (
	firstVersion  = "0.1.0"
	secondVersion = "0.1.1"
)

// dist is the directory of both versions. TestMain creates it, and packages fills it.
var dist string

// packages builds both versions once: the first with the manual's command, for every architecture, the second for this
// machine's alone, which saves half a minute.
var packages = sync.OnceValue(func() error {
	if err := makeAsManual(dist); err != nil {
		return err
	}
	_, err := makePackages(context.Background(), options{
		version: secondVersion, out: dist, architectures: []string{runtime.GOARCH}, formats: []string{"deb", "rpm"},
	})
	return err
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

// packageFile returns a package for this machine's architecture.
func packageFile(t testing.TB, p program, version, format string) string {
	t.Helper()
	if err := packages(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dist, fileName(p, version, runtime.GOARCH, format))
}

// rootVariable names a tarball of a bare Debian to use instead of building one, which takes half a minute.
const rootVariable = "PROBEMESH_DEBIAN_ROOT"

// bareDebian returns a tarball of Debian with nothing but its required packages. It is built once.
func bareDebian(t testing.TB) string {
	t.Helper()
	if tarball := os.Getenv(rootVariable); tarball != "" {
		return tarball
	}
	if err := makeDebian(); err != nil {
		t.Fatalf("build a bare Debian: %v", err)
	}
	return filepath.Join(dist, debianTarball)
}

const debianTarball = "bookworm.tar"

var makeDebian = sync.OnceValue(func() error {
	tarball := filepath.Join(dist, debianTarball)
	_, err := output(context.Background(), "", nil, "mmdebstrap", "--quiet", "--variant=minbase", "bookworm", tarball)
	return err
})

// fleet is the machines of the test: one for the coordinator, one to install an agent on, and three that run agents
// from the start, since a quorum needs three regions besides the host's own.
type fleet struct {
	t                   testing.TB
	manual              installation
	coordinator, server *machine
	others              []*machine
}

var fleetNames = []string{"NC036", "NC041", "NC033", "NC035"} // the first is server, as in the manual
var fleetRegions = []string{"amsterdam", "new-york", "toronto", "sydney"}

// TestFromTwoPackageFilesToVotesThatCount runs install.md command by command. Only systemctl is a stub: the test starts
// the services itself as their installed units say. It does so for rpm too, with Debian's build of the package manager:
// rpm's database and scripts are on the bare machine, where no other package came as an rpm.
func TestFromTwoPackageFilesToVotesThatCount(t *testing.T) {
	requireMachines(t)
	for _, format := range []string{"deb", "rpm"} {
		t.Run(format, func(t *testing.T) { testInstallation(t, format) })
	}
}

// testInstallation runs the manual from installation to removal, with packages of one format.
func testInstallation(t *testing.T, format string) {
	for _, p := range programs {
		packageFile(t, p, firstVersion, format) // built before the time is taken
	}
	f := newFleet(t, format)
	began := time.Now()
	serving := f.installCoordinator()
	running := f.installAgent()
	installed := time.Since(began)
	for i, m := range f.others {
		f.joinOther(m, fleetNames[i+1])
	}
	eventually(t, 3*time.Minute, "the new agent's vote counts", func() error { return f.checkVotes("ok") })
	t.Logf("from a bare Debian and two package files to a running agent %v, to its votes with three more agents %v",
		installed.Round(100*time.Millisecond), time.Since(began).Round(100*time.Millisecond))

	f.checkProcess(running, "0000000000002000") // CAP_NET_RAW
	f.checkProcess(serving, "0000000000000000")
	f.examine()
	running.awaitNotification("WATCHDOG=1", 3*time.Minute)
	serving.awaitNotification("WATCHDOG=1", 3*time.Minute)
	running = f.upgrade(f.server, programs[0], running)
	serving = f.upgrade(f.coordinator, programs[1], serving)
	eventually(t, 3*time.Minute, "all is up after both upgrades", func() error { return f.checkVotes("ok") })
	f.checkVersion()
	running.stop()
	serving.stop()
	f.remove(f.server, programs[0], "/var/lib/probemesh/agent/identity.json")
	f.remove(f.coordinator, programs[1], "/var/lib/probemesh/coordinator/view.db")
}

// newFleet creates the machines. The package managers' database is on the two that get packages.
func newFleet(t *testing.T, format string) *fleet {
	tarball := bareDebian(t)
	n := newNetwork(t)
	f := &fleet{t: t, manual: readInstallation(t)}
	f.coordinator, f.server = n.add("coordinator", tarball), n.add("server", tarball)
	for i := range fleetNames[1:] {
		f.others = append(f.others, n.add(fmt.Sprintf("other%d", i), ""))
	}
	for _, m := range []*machine{f.coordinator, f.server} {
		m.format = format
		m.stubSystemctl()
		if format == "rpm" {
			m.registerBaseSystem()
		}
	}
	return f
}

// installCoordinator runs the manual's commands on the coordinator's machine. After the example was checked it writes a
// catalog of this fleet in its place.
func (f *fleet) installCoordinator() (s *service) {
	f.t.Helper()
	m := f.coordinator
	for _, line := range f.manual.coordinator {
		if started := m.runLine(line); started != nil {
			s = started
		}
		if strings.HasPrefix(line, "probemesh-coordinator check ") {
			m.write("/etc/probemesh/catalog.yaml", f.catalog(), 0o644)
			m.runLine(line)
		}
	}
	eventually(f.t, 2*time.Minute, "the coordinator is ready", func() error {
		_, err := f.get("/readyz")
		return err
	})
	return s
}

// installAgent makes a token as the manual says and runs its commands on the server.
func (f *fleet) installAgent() (s *service) {
	f.t.Helper()
	token := f.coordinator.run(strings.Fields(f.manual.invite[0])...)
	for _, line := range f.manual.agent {
		if started := f.server.runLine(strings.ReplaceAll(line, "TOKEN", token)); started != nil {
			s = started
		}
		if strings.HasPrefix(line, "probemesh-agent join ") {
			f.checkState()
		}
	}
	return s
}

// checkState checks that only the service's user can read the key and credentials that join wrote as root.
func (f *fleet) checkState() {
	f.t.Helper()
	uid, gid, _ := f.server.account("probemesh-agent")
	state := f.server.file("/var/lib/probemesh/agent")
	err := filepath.Walk(state, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		if int(owner.Uid) != uid || int(owner.Gid) != gid || info.Mode().Perm()&0o077 != 0 {
			f.t.Errorf("after join %s has mode %v and owner %d:%d, want the service's user alone, %d:%d",
				path, info.Mode(), owner.Uid, owner.Gid, uid, gid)
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// examine runs the manual's diagnostic commands on the server, which has no fault.
func (f *fleet) examine() {
	f.t.Helper()
	for _, line := range f.manual.examine {
		out := f.server.run(strings.Fields(line)...)
		connected := "ok      port    connected to " + f.coordinator.address + ":4222"
		contains(f.t, line, out, connected, "ok      pin ", "ok      ping ", "ok      gossip ")
	}
	for _, line := range f.manual.show {
		contains(f.t, line, f.server.run(strings.Fields(line)...), " in "+fleetRegions[0]+", version ")
	}
}

// joinOther runs the packaged agent on a machine without an installation, which saves unpacking a Debian for it.
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
		_ = cmd.Wait() // ends by the signal
	})
}

// catalog returns a catalog of the fleet's hosts.
func (f *fleet) catalog() string {
	var b strings.Builder
	b.WriteString("regions:\n")
	for _, region := range fleetRegions {
		fmt.Fprintf(&b, "  - {name: %s, city: %[1]s, country: NL, latitude: 1, longitude: 1}\n", region)
	}
	b.WriteString("hosts:\n")
	for i, m := range append([]*machine{f.server}, f.others...) {
		const host = "  - {name: %s, region: %s, address: %s, public: true}\n"
		fmt.Fprintf(&b, host, fleetNames[i], fleetRegions[i], m.address)
	}
	return b.String()
}

// get requests a path of the status page.
func (f *fleet) get(path string) (string, error) {
	return f.coordinator.hostCommand("curl", "-sS", "--fail", "http://"+f.coordinator.address+":8080"+path)
}

// checkVotes returns an error unless every host is up and the server's region votes as wanted on each other host.
func (f *fleet) checkVotes(want string) error {
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

// checkVersion checks that the upgrade replaced the program.
func (f *fleet) checkVersion() {
	f.t.Helper()
	out := f.server.run("probemesh-agent", "--version")
	if !strings.Contains(out, secondVersion) {
		f.t.Errorf("after the upgrade --version prints %q, want %s", out, secondVersion)
	}
}

// checkProcess compares the running service with its unit: user, capabilities (as /proc prints them) and privileges.
func (f *fleet) checkProcess(s *service, capabilities string) {
	f.t.Helper()
	uid, _, _ := s.m.account(s.unit.last("User"))
	uids := strings.TrimSpace(strings.Repeat(fmt.Sprintf("%d ", uid), 4)) // real, effective, saved, of file systems
	for key, want := range map[string]string{
		"Uid": uids, "NoNewPrivs": "1", "CapEff": capabilities, "CapBnd": capabilities,
	} {
		if got := s.status(key); got != want {
			f.t.Errorf("%s runs with %s %s, want %s", s.unit.command()[0], key, got, want)
		}
	}
	f.t.Logf("%s: peak memory %s of MemoryMax=%s, %s threads of TasksMax=%s",
		s.unit.command()[0], s.status("VmHWM"), s.unit.last("MemoryMax"), s.status("Threads"), s.unit.last("TasksMax"))
}
