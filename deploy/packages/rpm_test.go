package main

import (
	"os"
	"path/filepath"
	"strings"
)

// rpm runs this machine's rpm on the files and the database of another: the scripts of packages run there.
func (m *machine) rpm(args ...string) string {
	m.t.Helper()
	out, err := m.tryRPM(args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

func (m *machine) tryRPM(args ...string) (string, error) {
	return m.outside(append([]string{"rpm", "--root", m.root}, args...)...)
}

// provided is the description of a package without files. It tells rpm what a bare Debian has, which came there as other packages:
// so what ours require is looked up and found, and nothing has to be forced.
const provided = `Name: bare-debian
Version: 12
Release: 1
Summary: what a bare Debian has of what packages require
License: none
BuildArch: noarch
Provides: shadow-utils coreutils /bin/sh

%description
Nothing but its name.

%files
`

// provide has rpm know the machine, which it refuses to install anything on before.
func (m *machine) provide() {
	m.t.Helper()
	_, err := m.tryRPM("--install", packageFile(m.t, programs[0], firstVersion, "rpm"))
	if err == nil || !strings.Contains(err.Error(), "shadow-utils is needed by probemesh-agent") {
		m.t.Errorf("without useradd rpm does not refuse to install: %v", err)
	}
	dir := m.t.TempDir()
	spec := filepath.Join(dir, "bare-debian.spec")
	if err := os.WriteFile(spec, []byte(provided), 0o644); err != nil {
		m.t.Fatal(err)
	}
	if out, err := m.outside("rpmbuild", "-bb", "--quiet", "--define", "_topdir "+dir, spec); err != nil {
		m.t.Fatalf("%v: %s", err, out)
	}
	m.rpm("--install", filepath.Join(dir, "RPMS/noarch/bare-debian-12-1.noarch.rpm"))
}
