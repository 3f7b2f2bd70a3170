package main

import (
	"os/exec"
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
		holds(t, file, capture(t, "dpkg-deb", "--info", file), "Version: "+firstVersion+"-1", "Architecture: "+runtime.GOARCH, "Depends: passwd")
		holds(t, file, capture(t, "dpkg-deb", "--field", file), "Description: "+p.Summary)
		if said := capture(t, "lintian", "--allow-root", "--fail-on", "error,warning", file); strings.TrimSpace(said) != "" {
			t.Errorf("lintian:\n%s", said)
		}
	}
	file := packageFile(t, programs[1], firstVersion, "deb")
	holds(t, file, capture(t, "dpkg-deb", "--contents", file), "/usr/share/doc/probemesh-coordinator/examples/catalog.yaml", "/etc/probemesh/")
}

// TestRPMs looks into the other packages; there is no such system here to install them on.
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
		holds(t, file, capture(t, "rpm", "-qp", "--queryformat", "[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME}\n]", file),
			"/usr/bin/"+p.Name+" -rwxr-xr-x root", "/etc/default/"+p.Name+" -rw------- root")
	}
}
