package main

import (
	"os"
	"path/filepath"
	"strings"
)

// rpm runs the test machine's rpm on the files and the database of this one. Packages' scripts run in this one.
func (m *machine) rpm(args ...string) string {
	m.t.Helper()
	out, err := m.tryRPM(args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

func (m *machine) tryRPM(args ...string) (string, error) {
	return m.hostCommand(append([]string{"rpm", "--root", m.root}, args...)...)
}

// baseSystem describes a package without files that provides what a bare Debian has as Debian's own packages. With it
// rpm resolves the dependencies of our packages as on a machine of its own, instead of having to ignore them.
const baseSystem = `Name: bare-debian
Version: 12
Release: 1
Summary: what a bare Debian provides
License: none
BuildArch: noarch
Provides: shadow-utils coreutils /bin/sh

%description
No files.

%files
`

// registerBaseSystem records the base system in rpm's database. It checks that rpm refuses our package before.
func (m *machine) registerBaseSystem() {
	m.t.Helper()
	_, err := m.tryRPM("--install", packageFile(m.t, programs[0], firstVersion, "rpm"))
	if err == nil || !strings.Contains(err.Error(), "shadow-utils is needed by probemesh-agent") {
		m.t.Errorf("rpm must refuse to install without useradd: %v", err)
	}
	dir := m.t.TempDir()
	spec := filepath.Join(dir, "bare-debian.spec")
	if err := os.WriteFile(spec, []byte(baseSystem), 0o644); err != nil {
		m.t.Fatal(err)
	}
	if out, err := m.hostCommand("rpmbuild", "-bb", "--quiet", "--define", "_topdir "+dir, spec); err != nil {
		m.t.Fatalf("%v: %s", err, out)
	}
	m.rpm("--install", filepath.Join(dir, "RPMS/noarch/bare-debian-12-1.noarch.rpm"))
}
