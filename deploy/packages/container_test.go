package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// instruction is one line of a container file.
type instruction struct{ name, rest string }

func readContainerFile(t *testing.T, path string) (out []instruction) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && name != "#" {
			out = append(out, instruction{name, rest})
		}
	}
	return out
}

// TestContainerFilesBuildFromWhatTheyCopy does what the build stage does, in a directory that has only what is copied there:
// no engine is needed, and none builds the image here.
func TestContainerFilesBuildFromWhatTheyCopy(t *testing.T) {
	requireLong(t)
	for _, p := range programs {
		t.Run(p.Name, func(t *testing.T) {
			stage := t.TempDir()
			for _, i := range readContainerFile(t, "../container/"+p.Directory+".Containerfile") {
				switch {
				case i.name == "COPY" && !strings.HasPrefix(i.rest, "--from"):
					copyInto(t, stage, strings.Fields(i.rest))
				case i.name == "RUN":
					cmd := exec.Command("sh", "-c", i.rest)
					cmd.Dir, cmd.Env = stage, append(os.Environ(), "VERSION="+firstVersion)
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Fatalf("RUN %s: %v: %s", i.rest, err, out)
					}
				}
			}
			said, err := exec.Command(filepath.Join(stage, "out", p.Name), "--version").CombinedOutput()
			if err != nil || !strings.Contains(string(said), firstVersion) {
				t.Errorf("the image's program says %q: %v", said, err)
			}
		})
	}
}

// copyInto copies what a COPY names.
func copyInto(t *testing.T, stage string, fields []string) {
	t.Helper()
	target := filepath.Join(stage, fields[len(fields)-1])
	for _, source := range fields[:len(fields)-1] {
		from, to := filepath.Join("../..", source), target
		info, err := os.Stat(from)
		if err != nil {
			t.Fatalf("COPY names what is not there: %v", err)
		}
		if info.IsDir() {
			err = os.CopyFS(to, os.DirFS(from))
		} else {
			var data []byte
			if data, err = os.ReadFile(from); err == nil {
				err = os.WriteFile(filepath.Join(to, source), data, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestImagesHaveNoRootAndNothingBesides looks at the stage that ships.
func TestImagesHaveNoRootAndNothingBesides(t *testing.T) {
	for _, p := range programs {
		last := map[string]string{}
		for _, i := range readContainerFile(t, "../container/"+p.Directory+".Containerfile") {
			last[i.name] = i.rest
		}
		for name, want := range map[string]string{
			"FROM": "scratch", "USER": "65532:65532", "VOLUME": "/var/lib/probemesh/" + p.Directory, "ENTRYPOINT": `["/usr/bin/` + p.Name + `"]`,
			"COPY": "--from=build /src/out/" + p.Name + " /usr/bin/" + p.Name,
		} {
			if last[name] != want {
				t.Errorf("%s: the last %s is %q, want %q", p.Name, name, last[name], want)
			}
		}
	}
}
