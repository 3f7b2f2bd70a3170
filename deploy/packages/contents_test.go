package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// shippedFiles lists the files of every package, except the manual pages of single commands.
func shippedFiles(p program) []string {
	return []string{
		"/usr/bin/" + p.Name, "/usr/lib/systemd/system/" + p.Name + ".service", "/etc/default/" + p.Name,
		"/usr/share/man/man1/" + p.Name + ".1.gz", "/usr/share/bash-completion/completions/" + p.Name,
		"/usr/share/fish/vendor_completions.d/" + p.Name + ".fish", "/usr/share/doc/" + p.Name + "/third-party.gz",
	}
}

// capture runs a command and returns its output.
func capture(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return string(out)
}

// contains reports each text that is missing from what, whose content is given.
func contains(t testing.TB, what, content string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(content, want) {
			t.Errorf("%s does not contain %q:\n%s", what, want, content)
		}
	}
}

// TestDebs checks the contents of the Debian packages, and runs lintian on them.
func TestDebs(t *testing.T) {
	requireMachines(t)
	for _, p := range programs {
		file := packageFile(t, p, firstVersion, "deb")
		list := capture(t, "dpkg-deb", "--contents", file)
		contains(t, file, list, shippedFiles(p)...)
		contains(t, file, list, "/usr/share/zsh/vendor-completions/_"+p.Name,
			"/usr/share/doc/"+p.Name+"/copyright", "changelog.Debian.gz")
		ownedByRoot(t, file, list)
		contains(t, file, capture(t, "dpkg-deb", "--info", file),
			"Version: "+firstVersion+"-1", "Architecture: "+runtime.GOARCH, "Depends: passwd")
		contains(t, file, capture(t, "dpkg-deb", "--field", file), "Description: "+p.Summary)
		out := capture(t, "lintian", "--allow-root", "--fail-on", "error,warning", file)
		if strings.TrimSpace(out) != "" {
			t.Errorf("lintian:\n%s", out)
		}
	}
	file := packageFile(t, programs[1], firstVersion, "deb")
	contains(t, file, capture(t, "dpkg-deb", "--contents", file),
		"/usr/share/doc/probemesh-coordinator/examples/catalog.yaml", "/etc/probemesh/")
}

// TestRPMs checks the contents of the rpm packages.
func TestRPMs(t *testing.T) {
	requireMachines(t)
	for _, p := range programs {
		file := packageFile(t, p, firstVersion, "rpm")
		info := capture(t, "rpm", "-qp", "--info", file)
		contains(t, file, info, "Version     : "+firstVersion, "Architecture: "+rpmNames[runtime.GOARCH],
			"License     : Apache-2.0", p.Summary)
		list := capture(t, "rpm", "-qp", "--list", file)
		contains(t, file, list, shippedFiles(p)...)
		contains(t, file, list, "/usr/share/zsh/site-functions/_"+p.Name, "/usr/share/licenses/"+p.Name+"/LICENSE")
		contains(t, file, capture(t, "rpm", "-qp", "--requires", file), "shadow-utils", "/bin/sh")
		contains(t, file, capture(t, "rpm", "-qp", "--configfiles", file), "/etc/default/"+p.Name)
		contains(t, file, capture(t, "rpm", "-qp", "--scripts", file),
			"postinstall scriptlet", "useradd", "preuninstall scriptlet", "disable --now",
			"postuninstall scriptlet", p.Next)
		const format = "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]"
		owners := capture(t, "rpm", "-qp", "--queryformat", format, file)
		contains(t, file, owners, "-rwxr-xr-x root/root /usr/bin/"+p.Name+"\n",
			"-rw------- root/root /etc/default/"+p.Name+"\n")
		ownedByRoot(t, file, owners)
	}
}

// ownedByRoot reports files in a listing of modes and owners that are not root's, that others may write, or that have a
// set-user-ID, set-group-ID or sticky bit.
func ownedByRoot(t testing.TB, what, listing string) {
	t.Helper()
	for line := range strings.Lines(listing) {
		fields := strings.Fields(line)
		mode, owner := fields[0], fields[1]
		writable := mode[5] == 'w' || mode[8] == 'w'
		if writable || strings.ContainsAny(mode, "sStT") || owner != "root/root" && owner != "0/0" {
			t.Errorf("%s contains %s", what, strings.TrimSpace(line))
		}
	}
}

// TestProgramsAreOfTheirPackagesArchitecture reads the ELF headers of the programs in all packages, also of those for
// architectures that this machine cannot run.
func TestProgramsAreOfTheirPackagesArchitecture(t *testing.T) {
	requireMachines(t)
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for _, p := range programs {
		packageFile(t, p, firstVersion, "deb") // builds all of them
		for architecture, want := range machines {
			deb := filepath.Join(dist, fileName(p, firstVersion, architecture, "deb"))
			rpm := filepath.Join(dist, fileName(p, firstVersion, architecture, "rpm"))
			if got := strings.TrimSpace(capture(t, "dpkg-deb", "--field", deb, "Architecture")); got != architecture {
				t.Errorf("%s: architecture %s, want %s", deb, got, architecture)
			}
			if got := capture(t, "rpm", "-qp", "--queryformat", "%{ARCH}", rpm); got != rpmNames[architecture] {
				t.Errorf("%s: architecture %s, want %s", rpm, got, rpmNames[architecture])
			}
			checkProgram(t, want, p, deb, `dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/bin/$2"`)
			checkProgram(t, want, p, rpm, `rpm2archive - <"$1" | tar -xzO "./usr/bin/$2"`)
		}
	}
}

// checkProgram extracts the program from a package with a line of shell, and checks its machine and that it is static.
func checkProgram(t *testing.T, want elf.Machine, p program, file, extract string) {
	t.Helper()
	data, err := output(t.Context(), "", nil, "sh", "-c", extract, "sh", file, p.Name)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	libraries, err := f.ImportedLibraries()
	if f.Machine != want || len(libraries) > 0 || err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		t.Errorf("%s: program for %s with libraries %v, %v; want a static one for %s",
			file, f.Machine, libraries, err, want)
	}
}
