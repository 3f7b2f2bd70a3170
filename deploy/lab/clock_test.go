package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// The stories of this file step the wall clock of the coordinator and its NATS server. A process cannot have a wall
// clock of its own, so the coordinator is built with a time.Now that adds an offset, which the program reads from a
// file. As on a real machine, the monotonic clock does not change.

// stepVariable names the file that holds the offset.
const stepVariable = "PROBEMESH_LAB_STEP"

// steppedNow is appended to the standard library's time.go.
const steppedNow = `
var wallStep atomic.Int64

// SetWallStep steps the wall clock.
func SetWallStep(d Duration) { wallStep.Store(int64(d)) }

func stepWall(sec int64, nsec int32) (int64, int32) {
	n := int64(nsec) + wallStep.Load()
	sec, n = sec+n/1e9, n%1e9
	if n < 0 {
		sec, n = sec-1, n+1e9
	}
	return sec, int32(n)
}
`

// steppedMain is added to the coordinator's package main. Polling the file is enough: a step need not be immediate.
const steppedMain = `package main

import (
	"os"
	"time"
)

func init() {
	read := func() {
		if data, err := os.ReadFile(os.Getenv("` + stepVariable + `")); err == nil {
			if d, err := time.ParseDuration(string(data)); err == nil {
				time.SetWallStep(d)
			}
		}
	}
	read()
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			read()
		}
	}()
}
`

// stepped is the built program.
var stepped struct {
	once    sync.Once
	program string
	err     error
}

// buildStepped builds a coordinator whose wall clock can be stepped, at its first call.
func buildStepped(t testing.TB) string {
	t.Helper()
	stepped.once.Do(func() { stepped.program, stepped.err = makeStepped(filepath.Dir(build(t).coordinator)) })
	if stepped.err != nil {
		t.Fatal(stepped.err)
	}
	return stepped.program
}

// makeStepped builds it with go build -overlay: a changed copy of the standard library's time.go, and a file of package
// main that sets the offset.
func makeStepped(dir string) (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	module, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/probemesh/probemesh/coordinator").Output()
	if err != nil {
		return "", err
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	const call = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	text := strings.Replace(string(source), call, call+"\tsec, nsec = stepWall(sec, nsec)\n", 1)
	text = strings.Replace(text, "import (\n", "import (\n\t\"sync/atomic\"\n", 1) + steppedNow
	if !strings.Contains(string(source), call) || !strings.Contains(text, "\"sync/atomic\"") {
		return "", fmt.Errorf("%s has changed: adapt the edits of makeStepped to this Go release", original)
	}
	added := filepath.Join(strings.TrimSpace(string(module)), "stepped.go")
	files := map[string]string{original: text, added: steppedMain}
	replace := map[string]string{}
	for name, text := range files {
		replace[name] = filepath.Join(dir, "overlay-"+filepath.Base(name))
		if err := os.WriteFile(replace[name], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "stepped-coordinator")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-overlay", list, "-o", program, "github.com/probemesh/probemesh/coordinator")
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build with another clock: %w: %s", err, out)
	}
	return program, nil
}

// StepClock sets the offset of the coordinator's wall clock, from now on or from its next start.
func StepClock(off time.Duration) action {
	what := fmt.Sprintf("set the coordinator's clock off by %v", off)
	return action{what, func(m *mesh) { write(m.t, m.stepFile, off.String()) }}
}

// startSteppedMesh starts a mesh whose coordinator's clock can be stepped.
func startSteppedMesh(t *testing.T) *mesh {
	t.Helper()
	m := startMesh(t, 10*time.Second, "")
	m.process.stop()
	m.programs.coordinator, m.stepFile = buildStepped(t), filepath.Join(t.TempDir(), "step")
	m.startCoordinator()
	m.awaitAllUp()
	return m
}

// TestTheClockIsStepped steps the clock by ten minutes, back and forward, while the coordinator runs and between two
// starts. An outage meanwhile is published and has its true length.
func TestTheClockIsStepped(t *testing.T) {
	t.Parallel()
	testenv.RequireLong(t)
	m := startSteppedMesh(t)
	const off = 10 * time.Minute
	running := func(step time.Duration) []line {
		return []line{
			At(30*time.Second, StepClock(step)),
			At(40*time.Second, KillService("NC036", "smtp")),
			Want(10*time.Second, "down", "NC036 Sending mail"), Want(10*time.Second, "partial_outage", "NC036"),
			Never(bad+" unknown", othersThan("NC036")...), Never(bad+" unknown", "NC036 ping", "NC036 Reading mail"),
			At(60*time.Second, StepClock(0)),
			At(65*time.Second, StartService("NC036", "smtp")),
			Want(20*time.Second, "operational", "NC036"),
			At(90*time.Second, Do("check the duration", lasted(25*time.Second))),
		}
	}
	between := func(step time.Duration) []line {
		return []line{
			At(0, StopCoordinator()), At(0, StepClock(step)), At(2*time.Second, StartCoordinator()),
			At(20*time.Second, KillService("NC036", "smtp")),
			Want(10*time.Second, "down", "NC036 Sending mail"), Want(10*time.Second, "partial_outage", "NC036"),
			Never(bad, othersThan("NC036")...), Never(bad, "NC036 ping", "NC036 Reading mail"),
			At(40*time.Second, StopCoordinator()), At(40*time.Second, StepClock(0)),
			At(42*time.Second, StartCoordinator()),
			Want(20*time.Second, "partial_outage", "NC036"),
			At(60*time.Second, StartService("NC036", "smtp")),
			Want(20*time.Second, "operational", "NC036"),
		}
	}
	m.playAll(t, []story{
		{"back while it runs", running(-off)},
		{"forward while it runs", running(off)},
		{"back between two starts", between(-off)},
		{"forward between two starts", between(off)},
	})
}

// lasted checks the measured duration of the latest outage of sending mail.
func lasted(want time.Duration) func(*mesh) {
	return func(m *mesh) {
		var down, up time.Time
		for _, tr := range m.transitions(time.Time{}) {
			if tr.Host != "NC036" || tr.Check != "Sending mail" {
				continue
			}
			if at := tr.Began.Add(tr.Offset); tr.Verdict == "down" {
				down = at
			} else {
				up = at
			}
		}
		if got := up.Sub(down); (got - want).Abs() > 12*time.Second { // an interval, and the time to notice the end
			m.t.Errorf("an outage of %v has a measured duration of %v", want, got)
		}
	}
}
