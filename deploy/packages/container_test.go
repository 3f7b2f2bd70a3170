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

// nobody is the user of the images, as their files name it.
const nobody = "65532:65532"

// engine builds and runs images in a storage of its own. It needs no daemon, and pulls nothing.
type engine struct {
	t       testing.TB
	storage string
}

func newEngine(t testing.TB) *engine {
	t.Helper()
	testenv.Programs(t, map[string]string{"buildah": "buildah", "nsenter": "util-linux"})
	e := &engine{t: t, storage: t.TempDir()}
	t.Cleanup(func() {
		_, _ = e.try("rm", "--all") // what is mounted there goes with it
		_ = syscall.Unmount(filepath.Join(e.storage, "root/overlay"), 0)
	})
	return e
}

// command is a call of buildah, in a network namespace if one is named.
func (e *engine) command(space string, args ...string) *exec.Cmd {
	line := append([]string{"buildah", "--root", filepath.Join(e.storage, "root"), "--runroot", filepath.Join(e.storage, "run")}, args...)
	if space != "" {
		line = append([]string{"nsenter", "--net=/run/netns/" + space}, line...)
	}
	return exec.Command(line[0], line[1:]...)
}

// say runs a command to its end and returns what it printed; what it said besides is the error's.
func say(cmd *exec.Cmd) (string, error) {
	out, err := cmd.Output()
	if failed, is := err.(*exec.ExitError); is {
		err = fmt.Errorf("%s: %w: %s%s", strings.Join(cmd.Args, " "), err, out, failed.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

func (e *engine) try(args ...string) (string, error) { return say(e.command("", args...)) }

func (e *engine) run(args ...string) string {
	e.t.Helper()
	out, err := e.try(args...)
	if err != nil {
		e.t.Fatal(err)
	}
	return out
}

// base makes the image that both files build in, of what is here: it is not pulled. A bare Debian stands in for the published
// one, with this machine's authorities and, by mounts, its Go and the modules that were downloaded for it.
func (e *engine) base(file string) {
	e.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		e.t.Fatal(err)
	}
	from := regexp.MustCompile(`(?m)^FROM (\S+:(\S+)) AS build$`).FindStringSubmatch(string(data))
	if from == nil || !strings.HasPrefix(runtime.Version()+".", "go"+from[2]+".") {
		e.t.Fatalf("%s builds from %q, and this is %s", file, from, runtime.Version())
	}
	const authorities = "/etc/ssl/certs/ca-certificates.crt"
	container := e.run("from", "scratch")
	e.run("add", "--quiet", container, bareDebian(e.t), "/")
	e.run("copy", "--quiet", container, authorities, authorities)
	e.run("config", "--env", "PATH=/usr/local/go/bin:/usr/bin:/bin", "--env", "GOPROXY=off", container)
	e.run("commit", "--quiet", "--rm", container, from[1])
}

// build makes a program's image from its file, and a container of that.
func (e *engine) build(p program) *container {
	e.t.Helper()
	args := []string{"build", "--quiet", "--isolation", "chroot", "--pull-never"}
	for variable, target := range map[string]string{"GOROOT": "/usr/local/go:ro", "GOMODCACHE": "/root/go/pkg/mod", "GOCACHE": "/root/.cache/go-build"} {
		args = append(args, "--volume", strings.TrimSpace(capture(e.t, "go", "env", variable))+":"+target)
	}
	e.run(append(args, "--file", containerFile(p), "--build-arg", "VERSION="+firstVersion, "--tag", p.Name, "../..")...)
	c := &container{engine: e, program: p, name: e.run("from", "--pull-never", "localhost/"+p.Name)}
	c.root = e.run("mount", c.name)
	return c
}

func containerFile(p program) string { return "../container/" + p.Directory + ".Containerfile" }

// container is one of a program's image.
type container struct {
	*engine
	program
	name, root string
}

// arguments run the program in the container as the image's user, with flags of buildah before.
func (c *container) arguments(flags, args []string) []string {
	line := append([]string{"run", "--isolation", "chroot"}, flags...)
	return append(append(line, c.name, "--", "/usr/bin/"+c.Name), args...)
}

// do runs one of the program's commands to its end.
func (c *container) do(space string, args ...string) (string, error) {
	return say(c.command(space, c.arguments(nil, args)...))
}

// must is do for a command that succeeds.
func (c *container) must(space string, args ...string) string {
	c.t.Helper()
	out, err := c.do(space, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// serve runs the program's command as the image has it, until the test ends.
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
		_ = cmd.Wait() // it was told to end
		if said, _ := os.ReadFile(log.Name()); c.t.Failed() {
			c.t.Logf("%s said:\n%s", c.Name, said)
		}
		log.Close()
	})
}

// users are who the program runs as in a network namespace, with the groups.
func (c *container) users(space string) (users []string) {
	c.t.Helper()
	for pid := range strings.FieldsSeq(capture(c.t, "ip", "netns", "pids", space)) {
		if exe, _ := os.Readlink("/proc/" + pid + "/exe"); strings.HasSuffix(exe, "/usr/bin/"+c.Name) {
			users = append(users, strings.TrimSpace(capture(c.t, "stat", "--format", "%u:%g", "/proc/"+pid)))
		}
	}
	return users
}

// settings are what an image says of itself.
type settings struct {
	User, WorkingDir      string
	Env, Entrypoint, Cmd  []string
	Volumes, ExposedPorts map[string]struct{}
}

func (c *container) settings() settings {
	c.t.Helper()
	var image struct{ OCIv1 struct{ Config settings } }
	if err := json.Unmarshal([]byte(c.run("inspect", "--type", "image", "localhost/"+c.Name)), &image); err != nil {
		c.t.Fatal(err)
	}
	return image.OCIv1.Config
}

// listing is every file of the container with its mode and owner.
func (c *container) listing() []string {
	c.t.Helper()
	lines := strings.Split(strings.TrimSpace(capture(c.t, "find", c.root, "-mindepth", "1", "-printf", `%M %U:%G /%P\n`)), "\n")
	slices.Sort(lines)
	return lines
}

// wanted is the same as it is meant to be.
func (c *container) wanted() []string {
	lines := []string{
		"drwx------ " + nobody + " /var/lib/probemesh/" + c.Directory,
		"-rwxr-xr-x 0:0 /usr/bin/" + c.Name, "-rw-r--r-- 0:0 /etc/ssl/certs/ca-certificates.crt",
	}
	for _, dir := range []string{"/etc", "/etc/ssl", "/etc/ssl/certs", "/usr", "/usr/bin", "/var", "/var/lib", "/var/lib/probemesh"} {
		lines = append(lines, "drwxr-xr-x 0:0 "+dir)
	}
	if c.Directory == "coordinator" {
		lines = append(lines, "drwxrwxrwt 0:0 /tmp")
	}
	slices.Sort(lines)
	return lines
}

// check looks at what ships: nothing but the program, its authorities and a state that only its user may read.
func (c *container) check(ports ...string) {
	c.t.Helper()
	if got, want := c.listing(), c.wanted(); !slices.Equal(got, want) {
		c.t.Errorf("the image of %s holds\n%s\nwant\n%s", c.Name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	s := c.settings()
	state := "/var/lib/probemesh/" + c.Directory
	if _, kept := s.Volumes[state]; s.User != nobody || !slices.Equal(s.Entrypoint, []string{"/usr/bin/" + c.Name}) || !kept || len(s.ExposedPorts) != len(ports) {
		c.t.Errorf("the image of %s has %+v", c.Name, s)
	}
	for _, port := range ports {
		if _, exposed := s.ExposedPorts[port]; !exposed {
			c.t.Errorf("the image of %s does not expose %s: %v", c.Name, port, s.ExposedPorts)
		}
	}
	if said := c.must("", "--version"); !strings.Contains(said, firstVersion) {
		c.t.Errorf("the image's program says %q", said)
	}
}

// TestImages builds both images from their files, looks into them, and has containers of them find one another.
func TestImages(t *testing.T) {
	requireMachines(t)
	e := newEngine(t)
	e.base(containerFile(programs[0]))
	agent, coordinator := e.build(programs[0]), e.build(programs[1])
	agent.check()
	coordinator.check("4222/tcp", "8080/tcp")

	n := newNetwork(t)
	there, here := n.add("coordinator", ""), n.add("server", "")
	// What an engine does for a container in a network of its own, so that it may ping.
	here.run("sh", "-c", "echo 65532 65532 >/proc/sys/net/ipv4/ping_group_range")
	catalog := filepath.Join(t.TempDir(), "catalog.yaml")
	text := fmt.Sprintf("regions:\n  - {name: a, city: A, country: NL, latitude: 1, longitude: 1}\n  - {name: b, city: B, country: NL, latitude: 1, longitude: 1}\n"+
		"hosts:\n  - {name: NC036, region: a, address: %s}\n  - {name: NC041, region: b, address: %s}\n", here.address, there.address)
	if err := os.WriteFile(catalog, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	coordinator.serve(there.space, coordinator.settings().Cmd, "--volume", catalog+":/etc/probemesh/catalog.yaml:ro")
	eventually(t, time.Minute, "the coordinator is ready", func() error {
		_, err := there.outside("curl", "-sS", "--fail", "http://"+there.address+":8080/readyz")
		return err
	})
	agent.must(here.space, "join", coordinator.must(there.space, "invite", "NC036"))
	agent.serve(here.space, agent.settings().Cmd)
	eventually(t, time.Minute, "the agent's pings arrive", func() error {
		matrix, err := coordinator.do(there.space, "matrix")
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
