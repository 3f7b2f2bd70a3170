package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// licenses collects the licences and notices of all modules that are linked into the program. Most of them require that
// their text accompanies the binary.
func (t *tree) licenses(ctx context.Context, p program) error {
	const format = "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}"
	environment := []string{"CGO_ENABLED=0", "GOOS=linux"} // the packages' own, since imports depend on it
	list, err := output(ctx, t.source, environment, "go", "list", "-deps", "-f", format, "./"+p.Directory)
	if err != nil {
		return err
	}
	modules := strings.Split(strings.TrimSpace(string(list)), "\n")
	slices.Sort(modules) // go list prints packages, and several are of one module
	var out bytes.Buffer
	for _, module := range slices.Compact(modules) {
		fields := strings.Fields(module)
		if len(fields) != 3 {
			return fmt.Errorf("module %q is not downloaded: run go mod download", module)
		}
		if err := copyLicenses(&out, fields[0]+" "+fields[1], fields[2]); err != nil {
			return err
		}
	}
	if p.Directory == "coordinator" { // it serves a library of scripts too
		if err := copyLicenses(&out, "uPlot", filepath.Join(t.source, "coordinator/web/assets/uplot")); err != nil {
			return err
		}
	}
	dir := filepath.Join(t.stage, "licenses", p.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "third-party"), out.Bytes(), 0o644); err != nil {
		return err
	}
	return compress(dir)
}

// licenseFile matches the names of files that modules keep their licences in.
var licenseFile = regexp.MustCompile(`(?i)^(licen|copying|notice)`)

// copyLicenses appends the licences in a module's directory. A module without one is an error: it must not be shipped.
func copyLicenses(out *bytes.Buffer, name, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := false
	for _, e := range entries {
		if e.IsDir() || !licenseFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "==== %s: %s\n\n%s\n\n", name, e.Name(), bytes.TrimSpace(text))
		found = true
	}
	if !found {
		return fmt.Errorf("module %s has no licence in its root directory", name)
	}
	return nil
}
