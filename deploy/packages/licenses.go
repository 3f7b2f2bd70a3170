package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// licenses writes what the modules inside a static binary ask to be handed on with it: their licences and notices.
func (t *tree) licenses(ctx context.Context, p program) error {
	const format = "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}"
	list, err := output(ctx, t.source, []string{"CGO_ENABLED=0", "GOOS=linux"}, "go", "list", "-deps", "-f", format, "./"+p.Directory)
	if err != nil {
		return err
	}
	modules := strings.Split(strings.TrimSpace(string(list)), "\n")
	slices.Sort(modules)
	var out bytes.Buffer
	for _, module := range slices.Compact(modules) {
		fields := strings.Fields(module)
		if len(fields) != 3 {
			return fmt.Errorf("the module %q has no source here: go mod download", module)
		}
		if err := copyLicenses(&out, fields[0]+" "+fields[1], fields[2]); err != nil {
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

func copyLicenses(out *bytes.Buffer, name, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := false
	for _, e := range entries {
		upper := strings.ToUpper(e.Name())
		if e.IsDir() || !strings.HasPrefix(upper, "LICEN") && !strings.HasPrefix(upper, "COPYING") && !strings.HasPrefix(upper, "NOTICE") {
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
		return fmt.Errorf("%s has no licence in its directory", name)
	}
	return nil
}
