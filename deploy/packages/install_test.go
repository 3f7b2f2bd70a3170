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

// packages makes both versions once: the first as the README has it, for every architecture, and the second for this machine's.
var packages = sync.OnceValue(func() error {
	if err := makeAsManual(dist); err != nil {
		return err
	}
	o := options{version: secondVersion, out: dist, architectures: []string{runtime.GOARCH}, formats: []string{"deb", "rpm"}}
	_, err := makePackages(context.Background(), o)
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

// packageFile is a package for this machine's architecture.
func packageFile(t testing.TB, p program, version, format string) string {
	t.Helper()
	if err := packages(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dist, fileName(p, version, runtime.GOARCH, format))
}

// rootVariable names a tarball of a bare Debian to use instead of making one, for those who run this test often.
const rootVariable = "PROBEMESH_DEBIAN_ROOT"

// bareDebian is a tarball of Debian as its installer leaves it, less everything that is not required. It is made once.
func bareDebian(t testing.TB) string {
	t.Helper()
	if tarball := os.Getenv(rootVariable); tarball != "" {
		return tarball
	}
	if err := makeDebian(); err != nil {
		t.Fatalf("make a bare Debian: %v", err)
	}
	return filepath.Join(dist, debianTarball)
}

const debianTarball = "bookworm.tar"

var makeDebian = sync.OnceValue(func() error {
	_, err := output(context.Background(), "", nil, "mmdebstrap", "--quiet", "--variant=minbase", "bookworm", filepath.Join(dist, debianTarball))
	return err
})

// fleet is the machines of the story: one for the coordinator, one to install an agent on, and three that are there already.
type fleet struct {
	t                   testing.TB
	manual              installation
	coordinator, server *machine
	others              []*machine
}

var fleetNames = []string{"NC036", "NC041", "NC033", "NC035"} // the first is the server, and the README's
var fleetRegions = []string{"amsterdam", "new-york", "toronto", "sydney"}

// TestFromTwoPackageFilesToVotesThatCount is the README's section on servers, command by command, with the one exception that
// systemctl is played: what a unit says is read from the installed file and done. It is told for rpm too, whose package manager
// is Debian's build of it: its database and its scripts are on the bare machine, where nothing else came in an rpm.
func TestFromTwoPackageFilesToVotesThatCount(t *testing.T) {
	requireMachines(t)
	for _, format := range []string{"deb", "rpm"} {
		t.Run(format, func(t *testing.T) { tellOfServers(t, format) })
	}
}

func tellOfServers(t *testing.T, format string) {
	for _, p := range programs {
		packageFile(t, p, firstVersion, format) // made before the clock runs
	}
	f := newFleet(t, format)
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
	f.examine()
	running.hear("WATCHDOG=1", time.Minute)
	serving.hear("WATCHDOG=1", time.Minute)
	running = f.upgrade(f.server, programs[0], running)
	serving = f.upgrade(f.coordinator, programs[1], serving)
	eventually(t, time.Minute, "all is up after both upgrades", func() error { return f.counts("ok") })
	f.checkVersion()
	running.stop()
	serving.stop()
	f.takeAway(f.server, programs[0], "/var/lib/probemesh/agent/identity.json")
	f.takeAway(f.coordinator, programs[1], "/var/lib/probemesh/coordinator/view.db")
}

func newFleet(t *testing.T, format string) *fleet {
	tarball := bareDebian(t)
	n := newNetwork(t)
	f := &fleet{t: t, manual: readInstallation(t), coordinator: n.add("coordinator", tarball), server: n.add("server", tarball)}
	for i := range fleetNames[1:] {
		f.others = append(f.others, n.add(fmt.Sprintf("other%d", i), ""))
	}
	for _, m := range []*machine{f.coordinator, f.server} {
		m.format = format
		m.playSystemctl()
		if format == "rpm" {
			m.provide()
		}
	}
	return f
}

// installCoordinator does what the README says of the coordinator's machine, with a catalog of this fleet.
func (f *fleet) installCoordinator() (s *service) {
	f.t.Helper()
	m := f.coordinator
	for _, line := range f.manual.coordinator {
		if started := m.do(line); started != nil {
			s = started
		}
		if strings.HasPrefix(line, "probemesh-coordinator check ") { // the example is a beginning
			m.write("/etc/probemesh/catalog.yaml", f.catalog(), 0o644)
			m.do(line)
		}
	}
	eventually(f.t, 30*time.Second, "the coordinator is ready", func() error {
		_, err := f.get("/readyz")
		return err
	})
	return s
}

// installAgent does what the README says of a server, with the token that it says to make.
func (f *fleet) installAgent() (s *service) {
	f.t.Helper()
	token := f.coordinator.run(strings.Fields(f.manual.invite[0])...)
	for _, line := range f.manual.agent {
		if started := f.server.do(strings.ReplaceAll(line, "TOKEN", token)); started != nil {
			s = started
		}
		if strings.HasPrefix(line, "probemesh-agent join ") {
			f.checkState()
		}
	}
	return s
}

// checkState looks who can read what join kept.
func (f *fleet) checkState() {
	f.t.Helper()
	uid, gid, _ := f.server.account("probemesh-agent")
	err := filepath.Walk(f.server.file("/var/lib/probemesh/agent"), func(path string, info os.FileInfo, err error) error {
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
}

// examine has the doctor look, as the README says to where a server is in doubt. This one is well.
func (f *fleet) examine() {
	f.t.Helper()
	for _, line := range f.manual.examine {
		said := f.server.run(strings.Fields(line)...)
		holds(f.t, line, said, "ok      port    connected to "+f.coordinator.address+":4222", "ok      pin ", "ok      ping ", "ok      gossip ")
	}
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
