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

// unit is the [Service] section of a unit file: the values of each key, in order.
type unit map[string][]string

// readUnit parses the [Service] section of a unit file.
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

// last returns the last value of a key, which is the one in effect for most keys.
func (u unit) last(key string) string {
	if v := u[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

func (u unit) command() []string { return strings.Fields(u.last("ExecStart")) }

// limits returns a command that runs its arguments with the unit's user, capabilities and limit of files.
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

// files returns the unit's LimitNOFILE, or this machine's limit if that is lower: raising it takes more than root in a
// container.
func (u unit) files() uint64 {
	var here syscall.Rlimit
	files, err := strconv.ParseUint(u.last("LimitNOFILE"), 10, 64)
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &here) == nil && (err != nil || here.Max < files) {
		return here.Max
	}
	return files
}

// environment returns a command that runs its arguments in the environment that systemd would give them.
func (u unit) environment(state string) []string {
	watchdog, _ := time.ParseDuration(u.last("WatchdogSec"))
	args := []string{"env", "-i", "PATH=/usr/bin:/bin", "STATE_DIRECTORY=" + state, "NOTIFY_SOCKET=" + notifySocket,
		fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds())}
	for _, variable := range u["Environment"] {
		args = append(args, strings.ReplaceAll(variable, "%S", "/var/lib"))
	}
	return args
}

// exposureMax bounds the exposure of each unit as systemd-analyze 252 computes it, in tenths from 0 (no access to
// anything) to 100 (a root shell), so that a unit is not loosened unnoticed. What remains is the network and the
// agent's raw sockets.
var exposureMax = map[string]string{"probemesh-agent": "15", "probemesh-coordinator": "13"}

// TestUnitsAreHardened bounds what an attacker in control of a service could reach.
func TestUnitsAreHardened(t *testing.T) {
	testenv.RequirePrograms(t, map[string]string{"systemd-analyze": "systemd"})
	for _, p := range programs {
		report, err := exposure(p, exposureMax[p.Name])
		if err != nil {
			t.Errorf("%s: %v\n%s", p.Name, err, report)
		}
		t.Log(report[strings.LastIndex(report, "\n")+1:])
		if report, err := exposure(p, "0"); err == nil {
			t.Errorf("%s: systemd-analyze accepts any unit:\n%s", p.Name, report)
		}
	}
}

// exposure returns systemd-analyze's report on a unit, and an error if the exposure is over the threshold.
func exposure(p program, threshold string) (string, error) {
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+threshold,
		"../systemd/"+p.Name+".service").CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// TestUnitsAreWhatSystemdReads has systemd parse the units beside the programs and manual pages of their packages.
// systemd only warns of an unknown key or an invalid value and ignores it, so there must be no warning.
func TestUnitsAreWhatSystemdReads(t *testing.T) {
	requireMachines(t)
	root := t.TempDir()
	for _, p := range programs {
		file := packageFile(t, p, firstVersion, "deb")
		if out, err := exec.Command("dpkg-deb", "--extract", file, root).CombinedOutput(); err != nil {
			t.Fatalf("extract %s: %v: %s", file, err, out)
		}
	}
	units := filepath.Join(root, "usr/lib/systemd/system")
	copyTargets := exec.Command("sh", "-c", `cp -a /usr/lib/systemd/system/*.target "$1"`, "sh", units)
	if out, err := copyTargets.CombinedOutput(); err != nil {
		t.Fatalf("copy the units that ours refer to: %v: %s", err, out)
	}
	for _, p := range programs {
		if warnings := verify(root, p.Name+".service"); warnings != "" {
			t.Errorf("%s: %s", p.Name, warnings)
		}
		misspelt(t, filepath.Join(units, p.Name+".service"), filepath.Join(units, "misspelt.service"))
		if warnings := verify(root, "misspelt.service"); !strings.Contains(warnings, "ProtectHme") {
			t.Errorf("systemd does not report a misspelt key: %q", warnings)
		}
	}
}

// verify returns systemd's warnings about a unit below a root directory.
func verify(root, service string) string {
	cmd := exec.Command("systemd-analyze", "verify", "--root="+root, service)
	cmd.Env = append(os.Environ(), "MANPATH="+filepath.Join(root, "usr/share/man"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return string(out)
}

// misspelt copies a unit and misspells a key in the copy.
func misspelt(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), "ProtectHome", "ProtectHme")
	if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestUnitsBoundAndRestart checks the limits, the restarts and the watchdogs of the units.
func TestUnitsBoundAndRestart(t *testing.T) {
	for _, p := range programs {
		u := readUnit(t, "../systemd/"+p.Name+".service")
		for _, key := range []string{"MemoryMax", "CPUQuota", "TasksMax", "LimitNOFILE", "WatchdogSec", "RestartSec"} {
			if u.last(key) == "" {
				t.Errorf("%s sets no %s", p.Name, key)
			}
		}
		for key, want := range map[string]string{
			"Type": "notify", "Restart": "always", "User": p.Name, "Group": p.Name,
			"StateDirectory": "probemesh/" + p.Directory, "StateDirectoryMode": "0700", "UMask": "0077",
			"LimitCORE": "0", "EnvironmentFile": "-/etc/default/" + p.Name,
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
