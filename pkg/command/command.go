// Package command is what the command lines of both programs share: exit codes, flags that read the environment, the
// names that the programs have in packages, the state directory, the version, the logger and systemd's watchdog.
//
// A program builds its tree of cobra commands and passes it to Run.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes of both programs.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2 // wrong usage or a wrong catalog
)

// ErrReported is returned by a command that has printed its errors itself. Run then only sets the exit code.
var ErrReported = errors.New("failed")

// usageError is an error that exits with ExitUsage.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// Usage marks an error as wrong usage or a wrong catalog, so that Run returns ExitUsage. Usage of nil is nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// Run executes the command line and returns the exit code. It prints an error once, to standard error.
func Run(ctx context.Context, root *cobra.Command) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Use = ProgramName(root.Use)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
	addPages(root)
	prepare(root)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitDone
	}
	var usage usageError
	wrongUsage := errors.As(err, &usage)
	if !errors.Is(err, ErrReported) {
		fmt.Fprintln(Printable(cmd.ErrOrStderr()), WithProgramNames(err.Error()))
		if wrongUsage {
			fmt.Fprintf(cmd.ErrOrStderr(), "see '%s --help'\n", cmd.CommandPath())
		}
	}
	if wrongUsage {
		return ExitUsage
	}
	return ExitFailed
}

// prepare makes every command of the tree read its flags from the environment, treat wrong arguments as wrong usage,
// and show the programs' names as they are called here.
func prepare(cmd *cobra.Command) {
	cmd.Short = WithProgramNames(cmd.Short)
	cmd.Long = WithProgramNames(strings.TrimSpace(cmd.Long)) // in the source it begins below its constant's name
	cmd.Example = exampleWithProgramNames(cmd.Example)
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error { return Usage(check(cmd, args)) }
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := setFromEnvironment(cmd.Flags(), os.LookupEnv); err != nil {
				return Usage(err)
			}
			return run(cmd, args)
		}
	} else if cmd.HasSubCommands() {
		// cobra prints the help and exits with 0 for a command that is missing or misspelt; scripts need an error.
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error { return Usage(unknownCommand(cmd, args)) }
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "version" {
			f.Usage = WithProgramNames(f.Usage) + " [" + Variable(f.Name) + "]"
		}
	})
	for _, sub := range cmd.Commands() {
		prepare(sub)
	}
}

// unknownCommand is the error of a command that has subcommands and was called without one, or with a wrong one.
func unknownCommand(cmd *cobra.Command, args []string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	if len(args) > 0 {
		return fmt.Errorf("%s: %q is not a command; the commands are %s",
			cmd.CommandPath(), args[0], strings.Join(names, ", "))
	}
	return fmt.Errorf("%s: name a command: %s", cmd.CommandPath(), strings.Join(names, ", "))
}

// Variable is the environment variable of a flag: PROBEMESH_ and the flag's name in capitals.
func Variable(flag string) string {
	return "PROBEMESH_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// setFromEnvironment sets every flag that the command line does not contain from its variable.
func setFromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
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

// StateDirectory is the default directory of a program's state: systemd's $STATE_DIRECTORY, else /var/lib/probemesh for
// root, else $XDG_STATE_HOME/probemesh, each followed by the program's name.
func StateDirectory(program string) string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		first, _, _ := strings.Cut(dir, ":") // a unit may name several; ours name one
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
