// Package testenv is what a test needs of the machine, or of whoever runs it. Where that is missing the test is skipped and says what
// it needs; in CI, which is $CI=true, nothing is skipped and it fails.
package testenv

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// CI reports whether a missing thing is a failure.
func CI() bool { return os.Getenv("CI") == "true" }

// SkipOrFail ends a test that needs what is not there.
func SkipOrFail(t testing.TB, what string) {
	t.Helper()
	if CI() {
		t.Fatalf("this test needs %s, and in CI nothing is skipped", what)
	}
	t.Skipf("not tested: this needs %s", what)
}

// RequireRoot ends a test that needs root where another runs it.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		SkipOrFail(t, "root")
	}
}

// RequirePrograms ends a test that needs programs of which one is missing. Each is named with the Debian package that has it.
func RequirePrograms(t testing.TB, packets map[string]string) {
	t.Helper()
	for program, packet := range packets {
		if _, err := exec.LookPath(program); err != nil {
			SkipOrFail(t, fmt.Sprintf("the program %s (Debian: %s)", program, packet))
		}
	}
}

// RequireLong ends a test of over twenty seconds that nobody asked for.
func RequireLong(t testing.TB) {
	t.Helper()
	if !LongRequested() {
		SkipOrFail(t, "PROBEMESH_LONG=1, or to be named with -run, since it takes long")
	}
}

// LongRequested reports whether tests of over twenty seconds are asked for: all of them where $PROBEMESH_LONG is 1, else those that are
// named on the command line.
func LongRequested() bool {
	named := func(name string) bool {
		f := flag.Lookup("test." + name)
		return f != nil && f.Value.String() != ""
	}
	return os.Getenv("PROBEMESH_LONG") == "1" || named("run") || named("bench")
}
