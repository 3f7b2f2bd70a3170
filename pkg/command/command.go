// Package command is what both programs' command lines share: flags that read the environment, exit codes, the place of
// state, the version and the logger.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes of both programs.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2 // wrong usage or a wrong catalog
)

// ErrSilent is a failure that was already told in words: it only sets the exit code.
var ErrSilent = errors.New("failed")

// usageError is an error that exits with ExitUsage.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage marks an error as wrong usage or a wrong catalog, so that Run answers ExitUsage.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// Run executes the command line and returns the exit code. It tells an error once, on standard error.
func Run(ctx context.Context, root *cobra.Command) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Use = Called(root.Use)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
	addPages(root)
	prepare(root)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitDone
	}
	var usage usageError
	wrong := errors.As(err, &usage)
	if !errors.Is(err, ErrSilent) {
		fmt.Fprintln(cmd.ErrOrStderr(), InWords(err.Error()))
		if wrong {
			fmt.Fprintf(cmd.ErrOrStderr(), "see '%s --help'\n", cmd.CommandPath())
		}
	}
	if wrong {
		return ExitUsage
	}
	return ExitFailed
}

// prepare has every command of the tree read its flags from the environment and call wrong arguments wrong usage.
func prepare(cmd *cobra.Command) {
	cmd.Short, cmd.Long = InWords(cmd.Short), InWords(cmd.Long)
	for _, program := range []string{"agent", "coordinator"} {
		cmd.Example = strings.ReplaceAll(cmd.Example, "  "+program+" ", "  "+Called(program)+" ")
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error { return Usage(check(cmd, args)) }
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := fromEnvironment(cmd.Flags(), os.LookupEnv); err != nil {
				return Usage(err)
			}
			return run(cmd, args)
		}
	} else if cmd.HasSubCommands() {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error { return Usage(missing(cmd, args)) }
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "version" {
			f.Usage = InWords(f.Usage) + " [" + Variable(f.Name) + "]"
		}
	})
	for _, sub := range cmd.Commands() {
		prepare(sub)
	}
}

// packaged stands before the programs' names in the packages.
const packaged = "probemesh-"

// Called is what a person types for one of the programs here: with packaged before its name where this one is called so.
func Called(program string) string {
	if self := filepath.Base(os.Args[0]); strings.HasPrefix(self, packaged) {
		return packaged + program
	}
	return program
}

// InWords is a text in which commands stand as people type them here: `agent join` is `probemesh-agent join` where the programs
// came in packages.
func InWords(text string) string {
	for _, program := range []string{"agent", "coordinator"} {
		text = strings.ReplaceAll(text, "`"+program+" ", "`"+Called(program)+" ")
	}
	return text
}

func missing(cmd *cobra.Command, args []string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	if len(args) > 0 {
		return fmt.Errorf("%s: %q is not a command; the commands are %s", cmd.CommandPath(), args[0], strings.Join(names, ", "))
	}
	return fmt.Errorf("%s: say which command: %s", cmd.CommandPath(), strings.Join(names, ", "))
}

// Variable is the environment variable of a flag: PROBEMESH_ and its name.
func Variable(flag string) string {
	return "PROBEMESH_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets every flag that was not given from its variable.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		value, ok := lookup(Variable(f.Name))
		if !ok || f.Changed {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", Variable(f.Name), err))
		}
	})
	return errors.Join(errs...)
}

// StateDirectory is where a program keeps its state unless told otherwise: systemd's $STATE_DIRECTORY, else
// /var/lib/probemesh for root, else $XDG_STATE_HOME/probemesh, each with the program's name behind it.
func StateDirectory(program string) string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		first, _, _ := strings.Cut(dir, ":")
		return filepath.Join(first, program)
	}
	if os.Getuid() == 0 {
		return filepath.Join("/var/lib/probemesh", program)
	}
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, _ := os.UserHomeDir()
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "probemesh", program)
}

// version is what the packages are built with: -ldflags "-X .../pkg/command.version=1.2.3".
var version string

// Version is the program's version: the package's, or as the build recorded it a module's version or the commit.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}

// NewLogger logs in words to a terminal and as one JSON object a line to everything else. Times are UTC.
func NewLogger(out io.Writer) zerolog.Logger {
	if f, ok := out.(*os.File); ok && terminal(f) {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.TimeOnly, TimeLocation: time.UTC,
			NoColor: os.Getenv("NO_COLOR") != "", FormatMessage: escapeMessage}
	}
	return zerolog.New(out).Level(zerolog.InfoLevel).With().Timestamp().Logger()
}

// escapeMessage quotes a message that is not safe to print on a terminal: a library's message may contain what a peer
// sent. zerolog does the same with fields.
func escapeMessage(message any) string {
	text, _ := message.(string)
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
