// Command packages builds the deb and rpm packages of both programs: static binaries, units, manual pages and shell
// completions. It cross-compiles, so that any machine with Go can build all of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// options selects the packages to build.
type options struct {
	version       string
	out           string   // directory
	architectures []string // as GOARCH names them
	formats       []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	files, err := makePackages(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("%-60s %5.1f MB\n", file, float64(info.Size())/1e6)
	}
}

// versions matches versions that dpkg and rpm order alike: 1.2.3, or 1.2.3-rc1, which precedes it.
var versions = regexp.MustCompile(`^\d+\.\d+\.\d+(-[a-z0-9]+)?$`)

// parse reads the command line.
func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("packages", flag.ContinueOnError)
	architectures := flags.String("arch", "amd64,arm64", "architectures, as Go names them")
	formats := flags.String("format", "deb,rpm", "formats of packages")
	flags.StringVar(&o.version, "version", "", "version of the packages, as in 0.1.0")
	flags.StringVar(&o.out, "out", "dist", "directory for the packages")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if !versions.MatchString(o.version) {
		return o, fmt.Errorf("--version %q: write three numbers, as in 0.1.0, or 0.1.0-rc1 before a release", o.version)
	}
	o.architectures, o.formats = strings.Split(*architectures, ","), strings.Split(*formats, ",")
	o.out, err = filepath.Abs(o.out)
	return o, err
}

// makePackages builds the selected packages and returns their files.
func makePackages(ctx context.Context, o options) (files []string, err error) {
	t, err := newTree(ctx)
	if err != nil {
		return nil, err
	}
	defer t.remove()
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return nil, err
	}
	for _, p := range programs {
		// Pages and licences are the same for every architecture and format.
		if err := t.document(ctx, p, o.version); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		if err := t.licenses(ctx, p); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		for _, architecture := range o.architectures {
			if err := t.build(ctx, p, o.version, architecture, t.stage); err != nil {
				return nil, fmt.Errorf("%s for %s: %w", p.Name, architecture, err)
			}
			for _, format := range o.formats {
				file, err := t.pack(ctx, p, o, architecture, format)
				if err != nil {
					return nil, fmt.Errorf("%s for %s as %s: %w", p.Name, architecture, format, err)
				}
				files = append(files, file)
			}
		}
	}
	return files, nil
}
