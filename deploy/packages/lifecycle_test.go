package main

import (
	"os"
	"runtime"
	"strings"
)

// hostCommand runs a program of the test's own machine in the network of this one, which may lack the program.
func (m *machine) hostCommand(command ...string) (string, error) {
	return (&machine{t: m.t, space: m.space}).try(command...)
}

// systemctlLog is the file in which the stub of systemctl records its arguments.
const systemctlLog = "/run/systemctl.log"

// stubSystemctl installs a stub of systemctl that records its arguments, and makes the packages' scripts believe that
// systemd runs.
func (m *machine) stubSystemctl() {
	m.t.Helper()
	m.write("/usr/bin/systemctl", "#!/bin/sh\necho \"$*\" >>"+systemctlLog+"\n", 0o755)
	if err := os.MkdirAll(m.file("/run/systemd/system"), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// systemctlCalls returns the arguments of all calls of systemctl since it was called last.
func (m *machine) systemctlCalls() string {
	m.t.Helper()
	data, err := os.ReadFile(m.file(systemctlLog))
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	_ = os.Remove(m.file(systemctlLog)) // absent if there was no call
	return strings.Join(strings.Split(strings.TrimSpace(string(data)), "\n"), "; ")
}

// runLine runs a line of the manual on the machine. It installs a package from the file that was built, in the
// machine's format, and starts the service itself where the line tells systemctl to.
func (m *machine) runLine(line string) *service {
	m.t.Helper()
	fields := strings.Fields(line)
	name := fields[len(fields)-1]
	for _, p := range programs {
		switch line {
		case "dpkg --install " + fileName(p, firstVersion, runtime.GOARCH, "deb"):
			m.install(p, firstVersion)
			return nil
		case "systemctl enable --now " + p.Name:
			return m.start(name)
		}
	}
	m.run(fields...)
	return nil
}

// installFile installs a package from its file, over an earlier version if there is one, and returns what was printed.
func (m *machine) installFile(p program, version string) string {
	m.t.Helper()
	file := packageFile(m.t, p, version, m.format)
	if m.format == "rpm" {
		return m.rpm("--upgrade", file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write("/root/package.deb", string(data), 0o644)
	return m.run("dpkg", "--install", "/root/package.deb")
}

// install installs a package for the first time, and checks that this creates its user, starts nothing and prints the
// next steps.
func (m *machine) install(p program, version string) {
	m.t.Helper()
	printed := m.installFile(p, version)
	if !strings.Contains(printed, p.Next) {
		m.t.Errorf("the installation of %s does not print the next steps:\n%s", p.Name, printed)
	}
	if _, _, ok := m.account(p.Name); !ok {
		m.t.Errorf("the installation of %s does not create its user", p.Name)
	}
	if got := m.systemctlCalls(); got != "daemon-reload" {
		m.t.Errorf("the installation of %s calls systemctl %q, want daemon-reload", p.Name, got)
	}
	if m.format == "rpm" {
		m.rpm("--verify", p.Name) // fails if contents, owners or modes differ from the package's
	}
}

// upgrade installs the second version over a running service and restarts it, as the package tells systemd to. It
// checks that the state and the operator's settings stay.
func (f *fleet) upgrade(m *machine, p program, s *service) *service {
	f.t.Helper()
	const setting = "# an operator's own setting\n"
	m.write("/etc/default/"+p.Name, setting, 0o600)
	before := m.run("find", "/var/lib/probemesh", "-maxdepth", "2", "-printf", "%p %u %m\n")
	if strings.Contains(m.installFile(p, secondVersion), p.Next) {
		f.t.Errorf("the upgrade of %s prints the steps after a first installation", p.Name)
	}
	if got, want := m.systemctlCalls(), "daemon-reload; try-restart "+p.Name+".service"; got != want {
		f.t.Errorf("the upgrade of %s calls systemctl %q, want %q", p.Name, got, want)
	}
	after := m.run("find", "/var/lib/probemesh", "-maxdepth", "2", "-printf", "%p %u %m\n")
	for line := range strings.Lines(before) {
		if !strings.Contains(after+"\n", line) && !strings.Contains(line, "view.db-") {
			f.t.Errorf("the upgrade of %s changes or removes %s", p.Name, strings.TrimSpace(line))
		}
	}
	if got := m.run("cat", "/etc/default/"+p.Name) + "\n"; got != setting {
		f.t.Errorf("the upgrade of %s changes the operator's settings to %q", p.Name, got)
	}
	s.stop()
	return m.start(p.Name)
}

// remove removes the package, which keeps the state and the user, and then purges it, which keeps nothing. rpm has no
// purge.
func (f *fleet) remove(m *machine, p program, state string) {
	f.t.Helper()
	left := "/etc/default/" + p.Name + ".rpmsave" // rpm's backup of settings that were edited
	if m.format == "rpm" {
		m.rpm("--erase", p.Name)
	} else {
		m.run("dpkg", "--remove", p.Name)
	}
	if got, want := m.systemctlCalls(), "--no-reload disable --now "+p.Name+".service; daemon-reload"; got != want {
		f.t.Errorf("the removal of %s calls systemctl %q, want %q", p.Name, got, want)
	}
	if _, _, ok := m.account(p.Name); !ok || !m.exists(state) || m.exists("/usr/bin/"+p.Name) {
		f.t.Errorf("removing %s must remove the program and keep %s and its user", p.Name, state)
	}
	if m.format == "deb" {
		f.purge(m, p)
		left = ""
	}
	found := m.run("find", "/", "-xdev", "-name", "*"+p.Name+"*",
		"-not", "-path", "/proc/*", "-not", "-path", "/var/log/*")
	if found != left {
		f.t.Errorf("the removal of %s leaves %q, want %q", p.Name, found, left)
	}
}

// purge checks that dpkg's purge leaves neither state nor settings nor user.
func (f *fleet) purge(m *machine, p program) {
	f.t.Helper()
	m.run("dpkg", "--purge", p.Name)
	unit := "/usr/lib/systemd/system/" + p.Name + ".service"
	for _, path := range []string{"/var/lib/probemesh", "/etc/default/" + p.Name, unit} {
		if m.exists(path) {
			f.t.Errorf("purging %s leaves %s", p.Name, path)
		}
	}
	if _, _, ok := m.account(p.Name); ok {
		f.t.Errorf("purging %s leaves its user", p.Name)
	}
}
