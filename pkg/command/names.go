package command

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// programs are the names of both programs as the source tree and go install know them.
var programs = []string{"agent", "coordinator"}

// packagePrefix precedes the programs' names in the packages: "agent" alone is too common a name for /usr/bin.
const packagePrefix = "probemesh-"

// ProgramName is the name under which a person here calls one of the programs: with the packages' prefix if this
// program was called with it.
func ProgramName(program string) string {
	if self := filepath.Base(os.Args[0]); strings.HasPrefix(self, packagePrefix) {
		return packagePrefix + program
	}
	return program
}

// AsCalledHere writes a command line with the name that its program has on this machine, so that it works when it is
// copied: the packages install "coordinator" as "probemesh-coordinator".
func AsCalledHere(line string) string {
	program, rest, _ := strings.Cut(line, " ")
	if program != "coordinator" && program != "agent" {
		return line
	}
	return ProgramName(program) + " " + rest
}

// calledProgram is a call of one of the programs in an example: at the start of a line, after a pipe, or as ssh's
// argument.
var calledProgram = regexp.MustCompile(` (agent|coordinator) ([a-z])`)

// exampleWithProgramNames replaces the programs' names where an example calls them.
func exampleWithProgramNames(example string) string {
	return calledProgram.ReplaceAllString(example, " "+ProgramName("")+"$1 $2")
}

// WithProgramNames replaces the programs' names in the commands that a text quotes: in a package `agent join` becomes
// `probemesh-agent join`.
func WithProgramNames(text string) string {
	for _, program := range programs {
		for _, quote := range []string{"`", `"`} {
			text = strings.ReplaceAll(text, quote+program+" ", quote+ProgramName(program)+" ")
		}
	}
	return text
}
