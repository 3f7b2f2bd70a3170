package main

import (
	"fmt"
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

// unit is the [Service] section of a unit file: the values of every key, in order.
type unit map[string][]string

func readUnit(t testing.TB, path string) unit {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u, section := unit{}, ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		if key, value, ok := strings.Cut(line, "="); ok && section == "[Service]" && !strings.HasPrefix(line, "#") {
			u[key] = append(u[key], value)
		}
	}
	return u
}

// last is the value of a key that counts.
func (u unit) last(key string) string {
	if v := u[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

func (u unit) command() []string { return strings.Fields(u.last("ExecStart")) }

// limits is the command that gives a program the unit's user, capabilities and limit of files.
func (u unit) limits() []string {
	capabilities := "-all"
	for name := range strings.FieldsSeq(u.last("AmbientCapabilities")) {
		capabilities += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	return []string{
		"prlimit", fmt.Sprintf("--nofile=%[1]d:%[1]d", u.files()),
		"setpriv", "--reuid", u.last("User"), "--regid", u.last("Group"), "--clear-groups", "--no-new-privs",
		"--inh-caps", capabilities, "--ambient-caps", capabilities, "--bounding-set", capabilities,
	}
}

// files is the unit's LimitNOFILE, or what this machine allows where it is less.
func (u unit) files() uint64 {
	var here syscall.Rlimit
	files, err := strconv.ParseUint(u.last("LimitNOFILE"), 10, 64)
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &here) == nil && (err != nil || here.Max < files) {
		return here.Max
	}
	return files
}

// environment is the command that gives a program the environment that systemd would.
func (u unit) environment(state string) []string {
	watchdog, _ := time.ParseDuration(u.last("WatchdogSec"))
	args := []string{"env", "-i", "PATH=/usr/bin:/bin", "STATE_DIRECTORY=" + state, "NOTIFY_SOCKET=" + notifySocket,
		fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds())}
	for _, variable := range u["Environment"] {
		args = append(args, strings.ReplaceAll(variable, "%S", "/var/lib"))
	}
	return args
}

// exposureMax is in tenths, as systemd-analyze counts: 0 is a sealed box, 100 a root shell. It is what systemd 252 says of each
// unit, so that none is loosened unnoticed. What is left is the network, which they are for, and the agent's raw sockets.
var exposureMax = map[string]string{"probemesh-agent": "15", "probemesh-coordinator": "13"}

// TestUnitsAreHardened bounds what a service that was taken over could reach.
func TestUnitsAreHardened(t *testing.T) {
	testenv.Programs(t, map[string]string{"systemd-analyze": "systemd"})
	for _, p := range programs {
		said, err := exposure(p, exposureMax[p.Name])
		if err != nil {
			t.Errorf("%s: %v\n%s", p.Name, err, said)
		}
		t.Log(said[strings.LastIndex(said, "\n")+1:])
		if said, err := exposure(p, "0"); err == nil {
			t.Errorf("%s: systemd-analyze accepts any unit:\n%s", p.Name, said)
		}
	}
}

// exposure is what systemd-analyze says of a unit, with an error where it is over the threshold.
func exposure(p program, threshold string) (string, error) {
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+threshold,
		"../systemd/"+p.Name+".service").CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// TestUnitsAreWhatSystemdReads has systemd itself read the units beside the programs and pages of their packages. It only warns
// of a key that it does not know or a value that it cannot read, and goes on without: so it must have nothing to say.
func TestUnitsAreWhatSystemdReads(t *testing.T) {
	requireMachines(t)
	root := t.TempDir()
	for _, p := range programs {
		if out, err := exec.Command("dpkg-deb", "--extract", packageFile(t, p, firstVersion, "deb"), root).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	units := filepath.Join(root, "usr/lib/systemd/system")
	if out, err := exec.Command("sh", "-c", `cp -a /usr/lib/systemd/system/*.target "$1"`, "sh", units).CombinedOutput(); err != nil {
		t.Fatalf("the units that ours refer to: %v: %s", err, out)
	}
	for _, p := range programs {
		if said := verify(root, p.Name+".service"); said != "" {
			t.Errorf("%s: %s", p.Name, said)
		}
		misspelt(t, filepath.Join(units, p.Name+".service"), filepath.Join(units, "misspelt.service"))
		if said := verify(root, "misspelt.service"); !strings.Contains(said, "ProtectHme") {
			t.Errorf("a key that is misspelt is not noticed: %q", said)
		}
	}
}

// verify is what systemd has to say against a unit of a root.
func verify(root, service string) string {
	cmd := exec.Command("systemd-analyze", "verify", "--root="+root, service)
	cmd.Env = append(os.Environ(), "MANPATH="+filepath.Join(root, "usr/share/man"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return string(out)
}

// misspelt makes a copy of a unit with a mistake.
func misspelt(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(strings.ReplaceAll(string(data), "ProtectHome", "ProtectHme")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestUnitsBoundAndRestart looks at what an operator relies on in years of running.
func TestUnitsBoundAndRestart(t *testing.T) {
	for _, p := range programs {
		u := readUnit(t, "../systemd/"+p.Name+".service")
		for _, key := range []string{"MemoryMax", "CPUQuota", "TasksMax", "LimitNOFILE", "WatchdogSec", "RestartSec"} {
			if u.last(key) == "" {
				t.Errorf("%s sets no %s", p.Name, key)
			}
		}
		for key, want := range map[string]string{
			"Type": "notify", "Restart": "always", "User": p.Name, "Group": p.Name, "StateDirectory": "probemesh/" + p.Directory,
			"StateDirectoryMode": "0700", "UMask": "0077", "LimitCORE": "0", "EnvironmentFile": "-/etc/default/" + p.Name,
		} {
			if got := u.last(key); got != want {
				t.Errorf("%s: %s=%s, want %s", p.Name, key, got, want)
			}
		}
	}
	if got := readUnit(t, "../systemd/probemesh-agent.service").last("CapabilityBoundingSet"); got != "CAP_NET_RAW" {
		t.Errorf("the agent may have %q, want only CAP_NET_RAW", got)
	}
}
