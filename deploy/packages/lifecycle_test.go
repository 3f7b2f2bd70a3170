package main

import (
	"os"
	"runtime"
	"strings"
)

// outside runs one of this machine's own programs in the machine's network.
func (m *machine) outside(command ...string) (string, error) {
	return (&machine{t: m.t, space: m.space}).try(command...)
}

// systemctlLog is where the played systemctl writes what it was asked.
const systemctlLog = "/run/systemctl.log"

// playSystemctl has the packages believe that systemd runs, and writes down what they ask of it.
func (m *machine) playSystemctl() {
	m.t.Helper()
	m.write("/usr/bin/systemctl", "#!/bin/sh\necho \"$*\" >>"+systemctlLog+"\n", 0o755)
	if err := os.MkdirAll(m.file("/run/systemd/system"), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// asked is what was asked of systemctl since the last time, and empties it.
func (m *machine) asked() string {
	m.t.Helper()
	data, err := os.ReadFile(m.file(systemctlLog))
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	_ = os.Remove(m.file(systemctlLog)) // it may not be there
	return strings.Join(strings.Split(strings.TrimSpace(string(data)), "\n"), "; ")
}

// do is one line of the README on the machine. A package is installed from its file, and what would be started is.
func (m *machine) do(line string) *service {
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

// put installs a package from its file, over the version that is there, if any.
func (m *machine) put(p program, version string) string {
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

// install installs a package on a machine that has not had it: there is a user, nothing is started, and the next step is told.
func (m *machine) install(p program, version string) {
	m.t.Helper()
	said := m.put(p, version)
	if !strings.Contains(said, p.Next) {
		m.t.Errorf("the installation of %s does not say what is next:\n%s", p.Name, said)
	}
	if _, _, ok := m.account(p.Name); !ok {
		m.t.Errorf("%s is installed without its user", p.Name)
	}
	if got := m.asked(); got != "daemon-reload" {
		m.t.Errorf("the installation of %s asks systemctl for %q", p.Name, got)
	}
	if m.format == "rpm" {
		m.rpm("--verify", p.Name) // fails where contents, owners or modes are not the package's
	}
}

// upgrade installs the second version over a running service, and restarts it as it asks.
func (f *fleet) upgrade(m *machine, p program, s *service) *service {
	f.t.Helper()
	const setting = "# an operator's own setting\n"
	m.write("/etc/default/"+p.Name, setting, 0o600)
	before := m.run("find", "/var/lib/probemesh", "-maxdepth", "2", "-printf", "%p %u %m\n")
	said := m.put(p, secondVersion)
	if strings.Contains(said, p.Next) {
		f.t.Errorf("the upgrade of %s tells how to begin", p.Name)
	}
	if got, want := m.asked(), "daemon-reload; try-restart "+p.Name+".service"; got != want {
		f.t.Errorf("the upgrade of %s asks systemctl for %q, want %q", p.Name, got, want)
	}
	after := m.run("find", "/var/lib/probemesh", "-maxdepth", "2", "-printf", "%p %u %m\n")
	for line := range strings.Lines(before) {
		if !strings.Contains(after+"\n", line) && !strings.Contains(line, "view.db-") {
			f.t.Errorf("after the upgrade of %s the state lacks %s", p.Name, strings.TrimSpace(line))
		}
	}
	if got := m.run("cat", "/etc/default/"+p.Name) + "\n"; got != setting {
		f.t.Errorf("the upgrade of %s makes %q of the operator's settings", p.Name, got)
	}
	s.stop()
	return m.start(p.Name)
}

// takeAway removes the package, which keeps the state and its user, and where there is such a thing purges it, which does not.
func (f *fleet) takeAway(m *machine, p program, state string) {
	f.t.Helper()
	left := "/etc/default/" + p.Name + ".rpmsave" // it was changed
	if m.format == "rpm" {
		m.rpm("--erase", p.Name)
	} else {
		m.run("dpkg", "--remove", p.Name)
	}
	if got, want := m.asked(), "--no-reload disable --now "+p.Name+".service; daemon-reload"; got != want {
		f.t.Errorf("the removal of %s asks systemctl for %q, want %q", p.Name, got, want)
	}
	if _, _, ok := m.account(p.Name); !ok || !m.exists(state) || m.exists("/usr/bin/"+p.Name) {
		f.t.Errorf("removing %s must take the program and keep %s and its user", p.Name, state)
	}
	if m.format == "deb" {
		f.purge(m, p)
		left = ""
	}
	found := m.run("find", "/", "-xdev", "-name", "*"+p.Name+"*", "-not", "-path", "/proc/*", "-not", "-path", "/var/log/*")
	if found != left {
		f.t.Errorf("once %s is gone there is %q left of it, want %q", p.Name, found, left)
	}
}

func (f *fleet) purge(m *machine, p program) {
	f.t.Helper()
	m.run("dpkg", "--purge", p.Name)
	for _, path := range []string{"/var/lib/probemesh", "/etc/default/" + p.Name, "/usr/lib/systemd/system/" + p.Name + ".service"} {
		if m.exists(path) {
			f.t.Errorf("purging %s leaves %s", p.Name, path)
		}
	}
	if _, _, ok := m.account(p.Name); ok {
		f.t.Errorf("purging %s leaves its user", p.Name)
	}
}
