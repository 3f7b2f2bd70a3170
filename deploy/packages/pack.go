package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/template"
	"time"
)

// scripts are what the package managers run, by the key that nfpm gives them.
var scripts = []string{"postinstall", "preremove", "postremove"}

// content is what the template of the package's description is filled with.
type content struct {
	program
	Version, Architecture string
	Stage, Pages          string // directories of what was made
	Date                  time.Time
}

// pack makes one package. nfpm is pinned in nfpm.mod, apart from what the programs themselves are built from.
func (t *tree) pack(ctx context.Context, p program, o options, architecture, format string) (file string, err error) {
	c, err := t.content(p, o.version, architecture)
	if err != nil {
		return "", err
	}
	if err := t.writeScripts(p); err != nil {
		return "", err
	}
	for _, name := range []string{"nfpm.yaml", "changelog.yaml"} {
		if err := t.fill(name, c); err != nil {
			return "", err
		}
	}
	target := filepath.Join(o.out, fileName(p, o.version, architecture, format))
	_, err = output(ctx, t.source, []string{"SOURCE_DATE_EPOCH=" + t.epoch}, "go", "tool", "-modfile=deploy/packages/nfpm.mod", "nfpm",
		"package", "--config", filepath.Join(t.stage, "nfpm.yaml"), "--packager", format, "--target", target)
	return target, err
}

func (t *tree) content(p program, version, architecture string) (content, error) {
	seconds, err := strconv.ParseInt(t.epoch, 10, 64)
	if err != nil {
		return content{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return content{p, version, architecture, t.stage, t.pages(p), time.Unix(seconds, 0).UTC()}, nil
}

// fill writes a template of this directory, filled, into the stage.
func (t *tree) fill(name string, c content) error {
	read, err := template.New(name).Funcs(template.FuncMap{"quote": strconv.Quote}).ParseFiles(filepath.Join(t.source, "deploy/packages", name))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := read.Execute(&out, c); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.stage, name), out.Bytes(), 0o644)
}

// writeScripts puts the program's names before each script, which is otherwise the same for both.
func (t *tree) writeScripts(p program) error {
	for _, name := range scripts {
		body, err := os.ReadFile(filepath.Join(t.source, "deploy/packages/scripts", name+".sh"))
		if err != nil {
			return err
		}
		head := fmt.Sprintf("#!/bin/sh\nset -e\nname=%s\nstate=/var/lib/probemesh/%s\nnext=\"%s\"\n", p.Name, p.Directory, p.Next)
		if err := os.WriteFile(filepath.Join(t.stage, name+".sh"), append([]byte(head), body...), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// rpmNames are the architectures as rpm names them.
var rpmNames = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// fileName is a package's name as its format has it.
func fileName(p program, version, architecture, format string) string {
	if format == "rpm" {
		return fmt.Sprintf("%s-%s-1.%s.rpm", p.Name, version, rpmNames[architecture])
	}
	return fmt.Sprintf("%s_%s-1_%s.deb", p.Name, version, architecture)
}
