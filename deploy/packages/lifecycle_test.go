package main

import (
	"os"
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
	m.write("/usr/local/bin/systemctl", "#!/bin/sh\necho \"$*\" >>"+systemctlLog+"\n", 0o755)
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

// dpkg runs dpkg on the machine with a package file, if one is named.
func (m *machine) dpkg(action, what string) string {
	m.t.Helper()
	if action == "--install" {
		data, err := os.ReadFile(what)
		if err != nil {
			m.t.Fatal(err)
		}
		what = "/root/package.deb"
		m.write(what, string(data), 0o644)
	}
	return m.run("dpkg", action, what)
}

// install installs a package on a machine that has not had it: there is a user, nothing is started, and the next step is told.
func (m *machine) install(p program, version string) {
	m.t.Helper()
	said := m.dpkg("--install", packageFile(m.t, p, version, "deb"))
	if !strings.Contains(said, p.Next) {
		m.t.Errorf("the installation of %s does not say what is next:\n%s", p.Name, said)
	}
	if _, _, ok := m.account(p.Name); !ok {
		m.t.Errorf("%s is installed without its user", p.Name)
	}
	if got := m.asked(); got != "daemon-reload" {
		m.t.Errorf("the installation of %s asks systemctl for %q", p.Name, got)
	}
}

// upgrade installs the second version over a running service, and restarts it as it asks.
func (f *fleet) upgrade(m *machine, p program, s *service) *service {
	f.t.Helper()
	before := m.run("find", "/var/lib/probemesh", "-maxdepth", "2", "-printf", "%p %u %m\n")
	said := m.dpkg("--install", packageFile(f.t, p, secondVersion, "deb"))
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
	s.stop()
	return m.start(p.Name)
}

// removeAndPurge removes the package, which keeps the state, and purges it, which does not.
func (f *fleet) removeAndPurge(m *machine, p program, state string) {
	f.t.Helper()
	m.dpkg("--remove", p.Name)
	if got, want := m.asked(), "--no-reload disable --now "+p.Name+".service; daemon-reload"; got != want {
		f.t.Errorf("the removal of %s asks systemctl for %q, want %q", p.Name, got, want)
	}
	if _, _, ok := m.account(p.Name); !ok || !m.exists(state) || m.exists("/usr/bin/"+p.Name) {
		f.t.Errorf("removing %s must take the program and keep %s and its user", p.Name, state)
	}
	m.dpkg("--purge", p.Name)
	for _, path := range []string{"/var/lib/probemesh", "/etc/default/" + p.Name, "/usr/lib/systemd/system/" + p.Name + ".service"} {
		if m.exists(path) {
			f.t.Errorf("purging %s leaves %s", p.Name, path)
		}
	}
	if _, _, ok := m.account(p.Name); ok {
		f.t.Errorf("purging %s leaves its user", p.Name)
	}
	if left := m.run("find", "/", "-xdev", "-name", "*"+p.Name+"*", "-not", "-path", "/proc/*", "-not", "-path", "/var/log/*"); left != "" {
		f.t.Errorf("purging %s leaves:\n%s", p.Name, left)
	}
}
