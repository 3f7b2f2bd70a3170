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

// scripts are the maintainer scripts, as nfpm names them.
var scripts = []string{"postinstall", "preremove", "postremove"}

// content is the data of nfpm's templates.
type content struct {
	program
	Version, Architecture string
	Stage, Pages          string // directories of generated files
	Date                  time.Time
}

// pack builds one package and returns its file. nfpm is pinned in nfpm.mod, apart from go.mod, so that its dependencies
// are not those of the programs.
func (t *tree) pack(ctx context.Context, p program, o options, architecture, format string) (file string, err error) {
	c, err := t.content(p, o.version, architecture)
	if err != nil {
		return "", err
	}
	if err := t.writeScripts(p); err != nil {
		return "", err
	}
	for _, name := range []string{"nfpm.yaml", "changelog.yaml"} {
		if err := t.render(name, c); err != nil {
			return "", err
		}
	}
	target := filepath.Join(o.out, fileName(p, o.version, architecture, format))
	_, err = output(ctx, t.source, []string{"SOURCE_DATE_EPOCH=" + t.epoch},
		"go", "tool", "-modfile=deploy/packages/nfpm.mod", "nfpm", "package",
		"--config", filepath.Join(t.stage, "nfpm.yaml"), "--packager", format, "--target", target)
	return target, err
}

// content collects the data of the templates for one package.
func (t *tree) content(p program, version, architecture string) (content, error) {
	seconds, err := strconv.ParseInt(t.epoch, 10, 64)
	if err != nil {
		return content{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return content{p, version, architecture, t.stage, t.pages(p), time.Unix(seconds, 0).UTC()}, nil
}

// render executes a template of this directory into the stage.
func (t *tree) render(name string, c content) error {
	functions := template.FuncMap{"quote": strconv.Quote}
	parsed, err := template.New(name).Funcs(functions).ParseFiles(filepath.Join(t.source, "deploy/packages", name))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, c); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.stage, name), out.Bytes(), 0o644)
}

// writeScripts writes the maintainer scripts into the stage. They are the same for both programs but for the variables
// at their head.
func (t *tree) writeScripts(p program) error {
	for _, name := range scripts {
		body, err := os.ReadFile(filepath.Join(t.source, "deploy/packages/scripts", name+".sh"))
		if err != nil {
			return err
		}
		const head = "#!/bin/sh\nset -e\nname=%s\nstate=/var/lib/probemesh/%s\nnext=\"%s\"\n%s"
		script := fmt.Sprintf(head, p.Name, p.Directory, p.Next, body)
		if err := os.WriteFile(filepath.Join(t.stage, name+".sh"), []byte(script), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// rpmNames maps Go's names of architectures to rpm's.
var rpmNames = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// fileName is the name of a package's file, by the convention of its format.
func fileName(p program, version, architecture, format string) string {
	if format == "rpm" {
		return fmt.Sprintf("%s-%s-1.%s.rpm", p.Name, version, rpmNames[architecture])
	}
	return fmt.Sprintf("%s_%s-1_%s.deb", p.Name, version, architecture)
}
