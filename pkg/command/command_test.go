package command

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func newRoot(run func(value string) error) (*cobra.Command, *bytes.Buffer) {
	var value string
	sub := &cobra.Command{Use: "sub", Args: cobra.NoArgs}
	sub.RunE = func(*cobra.Command, []string) error { return run(value) }
	sub.Flags().StringVar(&value, "nats-listen", "default", "address")
	root := &cobra.Command{Use: "program"}
	root.AddCommand(sub)
	var stderr bytes.Buffer
	root.SetErr(&stderr)
	root.SetOut(&stderr)
	return root, &stderr
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		err    error
		want   int
		stderr string
	}{
		{"done", []string{"sub"}, nil, ExitDone, ""},
		{"failed", []string{"sub"}, errors.New("no luck"), ExitFailed, "no luck\n"},
		{"failed and reported", []string{"sub"}, ErrReported, ExitFailed, ""},
		{"wrong catalog", []string{"sub"}, Usage(errors.New("a.yaml:1:1: wrong")), ExitUsage, "a.yaml:1:1: wrong"},
		{"unknown flag", []string{"sub", "--no-such"}, nil, ExitUsage, "no-such"},
		{"too many arguments", []string{"sub", "x"}, nil, ExitUsage, "see 'program sub --help'"},
		{"unknown command", []string{"nonsense"}, nil, ExitUsage, "nonsense"},
		{"no command", nil, nil, ExitUsage, "sub"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, stderr := newRoot(func(string) error { return c.err })
			root.SetArgs(append([]string{}, c.args...))
			if got := Run(context.Background(), root); got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
			if !strings.Contains(stderr.String(), c.stderr) || c.stderr == "" && stderr.Len() > 0 {
				t.Errorf("prints %q, want %q", stderr, c.stderr)
			}
		})
	}
}

func TestCommandLineOverridesEnvironment(t *testing.T) {
	t.Setenv("PROBEMESH_NATS_LISTEN", "from the environment")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"sub"}, "from the environment"},
		{[]string{"sub", "--nats-listen", "from the command line"}, "from the command line"},
	} {
		var got string
		root, _ := newRoot(func(value string) error { got = value; return nil })
		root.SetArgs(c.args)
		if code := Run(context.Background(), root); code != ExitDone || got != c.want {
			t.Errorf("%v: %q with code %d, want %q", c.args, got, code, c.want)
		}
	}
}

func TestStateDirectory(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")
	if got, want := StateDirectory("agent"), filepath.FromSlash("/var/lib/a/agent"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPackagedProgramsAreCalledByTheirNames(t *testing.T) {
	self := os.Args[0]
	defer func() { os.Args[0] = self }()
	for _, c := range []struct{ self, quoted, example string }{
		{"/usr/bin/probemesh-coordinator", "run `probemesh-agent join` and \"probemesh-coordinator apply\"",
			"  probemesh-coordinator invite NC036 | ssh agent.example.net probemesh-agent join -"},
		{"/root/go/bin/coordinator", "run `agent join` and \"coordinator apply\"",
			"  coordinator invite NC036 | ssh agent.example.net agent join -"},
	} {
		os.Args[0] = c.self
		if got := WithProgramNames("run `agent join` and \"coordinator apply\""); got != c.quoted {
			t.Errorf("%s: %s", c.self, got)
		}
		const example = "  coordinator invite NC036 | ssh agent.example.net agent join -"
		if got := exampleWithProgramNames(example); got != c.example {
			t.Errorf("%s: %s", c.self, got)
		}
		want := strings.TrimSuffix(filepath.Base(c.self), "coordinator") + "agent join --token x"
		if got := AsCalledHere("agent join --token x"); got != want {
			t.Errorf("%s: %s", c.self, got)
		}
		if got := AsCalledHere("mtr --report agent"); got != "mtr --report agent" {
			t.Errorf("%s: %s", c.self, got)
		}
	}
}
