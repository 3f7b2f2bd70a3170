// Package testenv declares what a test needs of the machine that runs it. Where that is missing, the test is skipped
// and names it. In CI, where $CI is "true", the test fails instead: a skip that nobody sees would hide that it never
// runs.
package testenv

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// CI reports whether a missing requirement is a failure.
func CI() bool { return os.Getenv("CI") == "true" }

// SkipOrFail ends a test whose requirement is missing: it skips the test, or in CI fails it.
func SkipOrFail(t testing.TB, requirement string) {
	t.Helper()
	if CI() {
		t.Fatalf("this test needs %s, and in CI nothing is skipped", requirement)
	}
	t.Skipf("not tested: this needs %s", requirement)
}

// RequireRoot ends the test unless it runs as root.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		SkipOrFail(t, "root")
	}
}

// RequirePrograms ends the test unless all programs are in $PATH. The map names the Debian package of each program.
func RequirePrograms(t testing.TB, debianPackages map[string]string) {
	t.Helper()
	for program, debianPackage := range debianPackages {
		if _, err := exec.LookPath(program); err != nil {
			SkipOrFail(t, fmt.Sprintf("the program %s (Debian: %s)", program, debianPackage))
		}
	}
}

// RequireLong ends the test unless long tests are requested. Tests of more than twenty seconds call it.
func RequireLong(t testing.TB) {
	t.Helper()
	if !LongRequested() {
		SkipOrFail(t, "PROBEMESH_LONG=1, or to be named with -run, since it takes long")
	}
}

// LongRequested reports whether tests of more than twenty seconds run: always if $PROBEMESH_LONG is 1, and otherwise
// if the command line selects tests or benchmarks by name.
func LongRequested() bool {
	isSet := func(name string) bool {
		f := flag.Lookup("test." + name)
		return f != nil && f.Value.String() != ""
	}
	return os.Getenv("PROBEMESH_LONG") == "1" || isSet("run") || isSet("bench")
}
