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

// shipped is what every package holds besides pages, which follow the commands.
func shipped(p program) []string {
	return []string{
		"/usr/bin/" + p.Name, "/usr/lib/systemd/system/" + p.Name + ".service", "/etc/default/" + p.Name,
		"/usr/share/man/man1/" + p.Name + ".1.gz", "/usr/share/bash-completion/completions/" + p.Name,
		"/usr/share/fish/vendor_completions.d/" + p.Name + ".fish", "/usr/share/doc/" + p.Name + "/third-party.gz",
	}
}

func capture(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return string(out)
}

// holds reports what the listing lacks.
func holds(t testing.TB, what, listing string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(listing, want) {
			t.Errorf("%s lacks %q:\n%s", what, want, listing)
		}
	}
}

// TestDebs looks into the Debian packages, and has Debian's own checker do so.
func TestDebs(t *testing.T) {
	requireMachines(t)
	for _, p := range programs {
		file := packageFile(t, p, firstVersion, "deb")
		list := capture(t, "dpkg-deb", "--contents", file)
		holds(t, file, list, shipped(p)...)
		holds(t, file, list, "/usr/share/zsh/vendor-completions/_"+p.Name, "/usr/share/doc/"+p.Name+"/copyright", "changelog.Debian.gz")
		ownedByRoot(t, file, list)
		holds(t, file, capture(t, "dpkg-deb", "--info", file), "Version: "+firstVersion+"-1", "Architecture: "+runtime.GOARCH, "Depends: passwd")
		holds(t, file, capture(t, "dpkg-deb", "--field", file), "Description: "+p.Summary)
		if said := capture(t, "lintian", "--allow-root", "--fail-on", "error,warning", file); strings.TrimSpace(said) != "" {
			t.Errorf("lintian:\n%s", said)
		}
	}
	file := packageFile(t, programs[1], firstVersion, "deb")
	holds(t, file, capture(t, "dpkg-deb", "--contents", file), "/usr/share/doc/probemesh-coordinator/examples/catalog.yaml", "/etc/probemesh/")
}

// TestRPMs looks into the other packages.
func TestRPMs(t *testing.T) {
	requireMachines(t)
	for _, p := range programs {
		file := packageFile(t, p, firstVersion, "rpm")
		info := capture(t, "rpm", "-qp", "--info", file)
		holds(t, file, info, "Version     : "+firstVersion, "Architecture: "+rpmNames[runtime.GOARCH], "License     : Apache-2.0", p.Summary)
		list := capture(t, "rpm", "-qp", "--list", file)
		holds(t, file, list, shipped(p)...)
		holds(t, file, list, "/usr/share/zsh/site-functions/_"+p.Name, "/usr/share/licenses/"+p.Name+"/LICENSE")
		holds(t, file, capture(t, "rpm", "-qp", "--requires", file), "shadow-utils", "/bin/sh")
		holds(t, file, capture(t, "rpm", "-qp", "--configfiles", file), "/etc/default/"+p.Name)
		holds(t, file, capture(t, "rpm", "-qp", "--scripts", file),
			"postinstall scriptlet", "useradd", "preuninstall scriptlet", "disable --now", "postuninstall scriptlet", p.Next)
		owners := capture(t, "rpm", "-qp", "--queryformat", "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]", file)
		holds(t, file, owners, "-rwxr-xr-x root/root /usr/bin/"+p.Name+"\n", "-rw------- root/root /etc/default/"+p.Name+"\n")
		ownedByRoot(t, file, owners)
	}
}

// ownedByRoot reports what is not root's, or what somebody else may write to, in a listing of modes and owners.
func ownedByRoot(t testing.TB, what, listing string) {
	t.Helper()
	for line := range strings.Lines(listing) {
		fields := strings.Fields(line)
		mode, owner := fields[0], fields[1]
		if mode[5] == 'w' || mode[8] == 'w' || strings.ContainsAny(mode, "sStT") || owner != "root/root" && owner != "0/0" {
			t.Errorf("%s holds %s", what, strings.TrimSpace(line))
		}
	}
}

// TestProgramsAreOfTheirPackagesArchitecture reads the headers of the programs in every package, for the architectures that this
// machine cannot run too.
func TestProgramsAreOfTheirPackagesArchitecture(t *testing.T) {
	requireMachines(t)
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for _, p := range programs {
		packageFile(t, p, firstVersion, "deb") // makes them all
		for architecture, want := range machines {
			deb, rpm := filepath.Join(dist, fileName(p, firstVersion, architecture, "deb")), filepath.Join(dist, fileName(p, firstVersion, architecture, "rpm"))
			if got := strings.TrimSpace(capture(t, "dpkg-deb", "--field", deb, "Architecture")); got != architecture {
				t.Errorf("%s says that it is for %s", deb, got)
			}
			if got := capture(t, "rpm", "-qp", "--queryformat", "%{ARCH}", rpm); got != rpmNames[architecture] {
				t.Errorf("%s says that it is for %s", rpm, got)
			}
			checkProgram(t, want, p, deb, `dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/bin/$2"`)
			checkProgram(t, want, p, rpm, `rpm2archive - <"$1" | tar -xzO "./usr/bin/$2"`)
		}
	}
}

// checkProgram reads the program that a line of shell takes out of a package: it is for one machine, and needs no library.
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
		t.Errorf("%s holds a program for %s with libraries %v, %v; want a static one for %s", file, f.Machine, libraries, err, want)
	}
}
