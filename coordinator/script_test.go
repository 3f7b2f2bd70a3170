package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/probemesh/probemesh/deploy/examples"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"coordinator": main, "probemesh-coordinator": main})
}

// TestScripts runs the scripts in testdata, which call the commands as a person would.
func TestScripts(t *testing.T) {
	eight, err := filepath.Abs("../pkg/catalog/file/testdata/eight-mistakes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: func(e *testscript.Env) error {
		e.Setenv("EIGHT", eight)
		return os.WriteFile(filepath.Join(e.WorkDir, "ninernet.yaml"), examples.Ninernet, 0o600)
	}})
}
