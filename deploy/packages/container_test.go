package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// nobody is the user and group of the images, as their files name them.
const nobody = "65532:65532"

// engine builds and runs images with buildah, in a storage of its own. It needs no daemon and pulls nothing.
type engine struct {
	t       testing.TB
	storage string
}

// newEngine creates a storage for the test, and removes it after.
func newEngine(t testing.TB) *engine {
	t.Helper()
	testenv.RequirePrograms(t, map[string]string{"buildah": "buildah", "nsenter": "util-linux"})
	e := &engine{t: t, storage: t.TempDir()}
	t.Cleanup(func() {
		_, _ = e.try("rm", "--all") // unmounts the containers' file systems too
		_ = syscall.Unmount(filepath.Join(e.storage, "root/overlay"), 0)
	})
	return e
}

// command returns a call of buildah, in a network namespace if one is named.
func (e *engine) command(space string, args ...string) *exec.Cmd {
	storage := []string{"--root", filepath.Join(e.storage, "root"), "--runroot", filepath.Join(e.storage, "run")}
	line := append(append([]string{"buildah"}, storage...), args...)
	if space != "" {
		line = append([]string{"nsenter", "--net=/run/netns/" + space}, line...)
	}
	return exec.Command(line[0], line[1:]...)
}

// runCommand runs a command and returns its standard output. The error of a command that fails includes its standard
// error.
func runCommand(cmd *exec.Cmd) (string, error) {
	out, err := cmd.Output()
	if failed, is := err.(*exec.ExitError); is {
		err = fmt.Errorf("%s: %w: %s%s", strings.Join(cmd.Args, " "), err, out, failed.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

func (e *engine) try(args ...string) (string, error) { return runCommand(e.command("", args...)) }

// run runs buildah, which must succeed.
func (e *engine) run(args ...string) string {
	e.t.Helper()
	out, err := e.try(args...)
	if err != nil {
		e.t.Fatal(err)
	}
	return out
}

// base builds the image that both container files build in, under the name that they give it, so that nothing is
// pulled. It is a bare Debian with this machine's certificate authorities; this machine's Go and its downloaded modules
// are mounted.
func (e *engine) base(file string) {
	e.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		e.t.Fatal(err)
	}
	from := regexp.MustCompile(`(?m)^FROM (\S+:(\S+)) AS build$`).FindStringSubmatch(string(data))
	if from == nil || !strings.HasPrefix(runtime.Version()+".", "go"+from[2]+".") {
		e.t.Fatalf("%s builds in %q, want the version of this machine's %s", file, from, runtime.Version())
	}
	const authorities = "/etc/ssl/certs/ca-certificates.crt"
	container := e.run("from", "scratch")
	e.run("add", "--quiet", container, bareDebian(e.t), "/")
	e.run("copy", "--quiet", container, authorities, authorities)
	e.run("config", "--env", "PATH=/usr/local/go/bin:/usr/bin:/bin", "--env", "GOPROXY=off", container)
	e.run("commit", "--quiet", "--rm", container, from[1])
}

// build builds a program's image from its container file, and creates a container of it.
func (e *engine) build(p program) *container {
	e.t.Helper()
	args := []string{"build", "--quiet", "--isolation", "chroot", "--pull-never"}
	for variable, target := range map[string]string{
		"GOROOT": "/usr/local/go:ro", "GOMODCACHE": "/root/go/pkg/mod", "GOCACHE": "/root/.cache/go-build",
	} {
		args = append(args, "--volume", strings.TrimSpace(capture(e.t, "go", "env", variable))+":"+target)
	}
	e.run(append(args, "--file", containerFile(p), "--build-arg", "VERSION="+firstVersion, "--tag", p.Name, "../..")...)
	c := &container{engine: e, program: p}
	c.name = e.run("from", "--pull-never", "localhost/"+p.Name)
	c.root = e.run("mount", c.name)
	return c
}

func containerFile(p program) string { return "../container/" + p.Directory + ".Containerfile" }

// container is a container of a program's image.
type container struct {
	*engine
	program
	name string
	root string // directory at which its file system is mounted
}

// arguments returns buildah's arguments to run the program in the container as the image's user.
func (c *container) arguments(flags, args []string) []string {
	line := append([]string{"run", "--isolation", "chroot"}, flags...)
	return append(append(line, c.name, "--", "/usr/bin/"+c.Name), args...)
}

// tryProgram runs one of the program's commands.
func (c *container) tryProgram(space string, args ...string) (string, error) {
	return runCommand(c.command(space, c.arguments(nil, args)...))
}

// must runs one of the program's commands, which must succeed.
func (c *container) must(space string, args ...string) string {
	c.t.Helper()
	out, err := c.tryProgram(space, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// serve runs one of the program's commands until the test ends.
func (c *container) serve(space string, command []string, flags ...string) {
	c.t.Helper()
	log, err := os.CreateTemp(c.t.TempDir(), c.Name)
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := c.command(space, c.arguments(flags, command)...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait() // ends by the signal
		if text, _ := os.ReadFile(log.Name()); c.t.Failed() {
			c.t.Logf("log of %s:\n%s", c.Name, text)
		}
		log.Close()
	})
}

// users returns user and group of each process of the program in a network namespace.
func (c *container) users(space string) (users []string) {
	c.t.Helper()
	for pid := range strings.FieldsSeq(capture(c.t, "ip", "netns", "pids", space)) {
		if exe, _ := os.Readlink("/proc/" + pid + "/exe"); strings.HasSuffix(exe, "/usr/bin/"+c.Name) {
			users = append(users, strings.TrimSpace(capture(c.t, "stat", "--format", "%u:%g", "/proc/"+pid)))
		}
	}
	return users
}

// settings is an image's configuration, as in OCI's image specification.
type settings struct {
	User, WorkingDir      string
	Env, Entrypoint, Cmd  []string
	Volumes, ExposedPorts map[string]struct{}
}

// settings reads the image's configuration.
func (c *container) settings() settings {
	c.t.Helper()
	var image struct{ OCIv1 struct{ Config settings } }
	if err := json.Unmarshal([]byte(c.run("inspect", "--type", "image", "localhost/"+c.Name)), &image); err != nil {
		c.t.Fatal(err)
	}
	return image.OCIv1.Config
}

// listing lists every file of the container with its mode and owner.
func (c *container) listing() []string {
	c.t.Helper()
	out := capture(c.t, "find", c.root, "-mindepth", "1", "-printf", `%M %U:%G /%P\n`)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(lines)
	return lines
}

// wantedListing is the listing that the image should have.
func (c *container) wantedListing() []string {
	lines := []string{
		"drwx------ " + nobody + " /var/lib/probemesh/" + c.Directory,
		"-rwxr-xr-x 0:0 /usr/bin/" + c.Name, "-rw-r--r-- 0:0 /etc/ssl/certs/ca-certificates.crt",
	}
	for _, dir := range []string{
		"/etc", "/etc/ssl", "/etc/ssl/certs", "/usr", "/usr/bin", "/var", "/var/lib", "/var/lib/probemesh",
	} {
		lines = append(lines, "drwxr-xr-x 0:0 "+dir)
	}
	if c.Directory == "coordinator" {
		lines = append(lines, "drwxrwxrwt 0:0 /tmp")
	}
	slices.Sort(lines)
	return lines
}

// check checks the image: it contains nothing but the program, certificate authorities and a state directory that only
// its user may read.
func (c *container) check(ports ...string) {
	c.t.Helper()
	if got, want := c.listing(), c.wantedListing(); !slices.Equal(got, want) {
		c.t.Errorf("the image of %s contains\n%s\nwant\n%s", c.Name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	s := c.settings()
	state := "/var/lib/probemesh/" + c.Directory
	entrypoint := slices.Equal(s.Entrypoint, []string{"/usr/bin/" + c.Name})
	_, isVolume := s.Volumes[state]
	if !entrypoint || !isVolume || s.User != nobody || len(s.ExposedPorts) != len(ports) {
		c.t.Errorf("the image of %s has the settings %+v", c.Name, s)
	}
	for _, port := range ports {
		if _, exposed := s.ExposedPorts[port]; !exposed {
			c.t.Errorf("the image of %s does not expose %s: %v", c.Name, port, s.ExposedPorts)
		}
	}
	if out := c.must("", "--version"); !strings.Contains(out, firstVersion) {
		c.t.Errorf("the image's program prints %q, want version %s", out, firstVersion)
	}
}

// TestImages builds both images from their container files, checks their contents, and runs a coordinator and an agent
// in containers of them.
func TestImages(t *testing.T) {
	requireMachines(t)
	e := newEngine(t)
	e.base(containerFile(programs[0]))
	agent, coordinator := e.build(programs[0]), e.build(programs[1])
	agent.check()
	coordinator.check("4222/tcp", "8080/tcp")

	n := newNetwork(t)
	there, here := n.add("coordinator", ""), n.add("server", "")
	// Container engines set this for a container in a network of its own, so that it may ping.
	here.run("sh", "-c", "echo 65532 65532 >/proc/sys/net/ipv4/ping_group_range")
	catalog := filepath.Join(t.TempDir(), "catalog.yaml")
	text := fmt.Sprintf("regions: [{name: a}, {name: b}]\nhosts:\n"+
		"  - {name: NC036, region: a, address: %s}\n  - {name: NC041, region: b, address: %s}\n",
		here.address, there.address)
	if err := os.WriteFile(catalog, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	coordinator.serve(there.space, coordinator.settings().Cmd, "--volume", catalog+":/etc/probemesh/catalog.yaml:ro")
	eventually(t, 3*time.Minute, "the coordinator is ready", func() error {
		_, err := there.hostCommand("curl", "-sS", "--fail", "http://"+there.address+":8080/readyz")
		return err
	})
	agent.must(here.space, "join", coordinator.must(there.space, "invite", "NC036"))
	agent.serve(here.space, agent.settings().Cmd)
	eventually(t, 3*time.Minute, "the agent's pings arrive", func() error {
		matrix, err := coordinator.tryProgram(there.space, "matrix")
		if err != nil || !strings.Contains(matrix, "NC041 ping +") {
			return fmt.Errorf("%v: %s", err, matrix)
		}
		return nil
	})
	for space, c := range map[string]*container{there.space: coordinator, here.space: agent} {
		if got := c.users(space); !slices.Equal(got, []string{nobody}) {
			t.Errorf("%s runs as %q, want %s alone", c.Name, got, nobody)
		}
	}
}
