package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is one of the two packaged programs, with the description of its package.
type program struct {
	Name        string // of the package, the binary, the unit and the service's user
	Directory   string // of its main package, and of its state under /var/lib/probemesh
	Summary     string
	Description string
	Next        string // printed after the first installation: the next steps
}

var programs = []program{
	{
		Name: "probemesh-agent", Directory: "agent",
		Summary: "probe the other servers of a mesh and publish the results",
		Description: "An agent runs on every server of the mesh, probes all the others and\n" +
			"sends its observations to the coordinator over one outbound TLS connection.",
		Next: "Let this server join, with the token that 'probemesh-coordinator invite HOST' prints, and start it:\n" +
			"  probemesh-agent join TOKEN\n  systemctl enable --now probemesh-agent",
	},
	{
		Name: "probemesh-coordinator", Directory: "coordinator",
		Summary: "quorum-based status of servers, from probes by agents in many regions",
		Description: "The coordinator turns the agents' observations into one vote per region,\n" +
			"publishes a server's status when a quorum of regions agrees, and serves\n" +
			"the public status page and the operators' view.",
		Next: "Write /etc/probemesh/catalog.yaml, check it, and start the coordinator:\n" +
			"  cp /usr/share/doc/probemesh-coordinator/examples/catalog.yaml /etc/probemesh/catalog.yaml\n" +
			"  probemesh-coordinator check /etc/probemesh/catalog.yaml\n  systemctl enable --now probemesh-coordinator",
	},
}

// tree is the project's source and a temporary directory for the contents of packages.
type tree struct {
	source string
	stage  string
	epoch  string // SOURCE_DATE_EPOCH in seconds: the date of every file in the packages
}

// newTree finds the module's directory and creates the stage. All files get one date, the last commit's, so that two
// builds of a commit give the same packages.
func newTree(ctx context.Context) (*tree, error) {
	// The directory of the main module, so that the program can be started in any directory of it.
	module, err := output(ctx, "", nil, "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return nil, err
	}
	t := &tree{source: strings.TrimSpace(string(module)), epoch: os.Getenv("SOURCE_DATE_EPOCH")}
	if t.epoch == "" {
		date, err := output(ctx, t.source, nil, "git", "log", "-1", "--format=%ct")
		if err != nil {
			return nil, fmt.Errorf("no date for files: set SOURCE_DATE_EPOCH, or build in a git repository: %w", err)
		}
		t.epoch = strings.TrimSpace(string(date))
	}
	t.stage, err = os.MkdirTemp("", "packages")
	return t, err
}

func (t *tree) remove() { os.RemoveAll(t.stage) }

// build compiles the program into a subdirectory of dir that is named as the architecture.
func (t *tree) build(ctx context.Context, p program, version, architecture, dir string, flags ...string) error {
	// Without paths of this machine, symbols and debug information: smaller, and the same wherever it is built.
	args := append([]string{
		"build", "-trimpath", "-ldflags", "-s -w -X github.com/probemesh/probemesh/pkg/command.version=" + version,
		"-o", filepath.Join(dir, architecture, p.Name),
	}, flags...)
	environment := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + architecture}
	_, err := output(ctx, t.source, environment, "go", append(args, "./"+p.Directory)...)
	return err
}

// document generates the program's manual pages and shell completions. The program writes them itself, in a build for
// this machine with the tag "pages": a package's own binary leaves the generator out.
func (t *tree) document(ctx context.Context, p program, version string) error {
	native, err := output(ctx, t.source, nil, "go", "env", "GOHOSTARCH")
	if err != nil {
		return err
	}
	architecture := strings.TrimSpace(string(native))
	dir := filepath.Join(t.stage, "document")
	if err := t.build(ctx, p, version, architecture, dir, "-tags", "pages"); err != nil {
		return err
	}
	self, pages := filepath.Join(dir, architecture, p.Name), t.pages(p)
	if err := os.MkdirAll(pages, 0o755); err != nil {
		return err
	}
	// The pages show defaults: let those of paths be the installed service's, not those of whoever builds.
	environment := []string{"SOURCE_DATE_EPOCH=" + t.epoch, "STATE_DIRECTORY=/var/lib/probemesh"}
	if _, err := output(ctx, "", environment, self, "pages", pages); err != nil {
		return err
	}
	if err := compress(pages); err != nil {
		return err
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script, err := output(ctx, "", environment, self, "completion", shell)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(t.stage, p.Name+"."+shell), script, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) pages(p program) string { return filepath.Join(t.stage, "pages", p.Name) }

// compress replaces every file of the directory by its gzip. The gzip has no date, so that builds are reproducible, and
// the best compression, which Debian's policy asks for.
func compress(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var packed bytes.Buffer
		w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if err := os.WriteFile(name+".gz", packed.Bytes(), 0o644); err != nil {
			return err
		}
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// output runs a command and returns its standard output. The error of a command that fails includes its standard error.
func output(ctx context.Context, dir string, environment []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), environment...)
	out, err := cmd.Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(failed.Stderr))
	}
	return out, err
}
