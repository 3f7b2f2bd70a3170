package lab

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// composition logs the program's size and its largest parts: the sizes of symbols by module, from a build with symbols.
func composition(t testing.TB, program string) {
	t.Helper()
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(t.TempDir(), "agent")
	cmd := exec.Command("go", "build", "-trimpath", "-o", whole, "github.com/probemesh/probemesh/agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the agent with symbols: %v: %s", err, out)
	}
	const shown = 16
	symbols, err := exec.Command("go", "tool", "nm", "-size", whole).Output()
	if err != nil {
		t.Fatal(err)
	}
	sizes := bySource(symbols)
	names := make([]string, 0, len(sizes))
	for name := range sizes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(sizes[b], sizes[a]) })
	var largest []string
	tables := int(info.Size())
	for i, name := range names {
		if tables -= sizes[name]; i < shown {
			largest = append(largest, fmt.Sprintf("%s %.2f", name, mb(sizes[name])))
		}
	}
	t.Logf("stripped: %.1f MB, of which %.1f MB without symbols (constants, line and type tables); largest in MB: %s",
		mb(int(info.Size())), mb(tables), strings.Join(largest, ", "))
}

// bySource sums the sizes of symbols by their module or part of the standard library.
func bySource(symbols []byte) map[string]int {
	out := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(symbols))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || strings.EqualFold(fields[2], "b") || fields[2] == "U" {
			continue
		}
		const zeroed = 16 << 20 // larger than the program, so zeroed memory that has no bytes in the file
		if size, err := strconv.Atoi(fields[1]); err == nil && size < zeroed {
			out[source(fields[3])] += size
		}
	}
	return out
}

// source returns where a symbol comes from: github.com/nats-io/nats.go, crypto, runtime.
func source(symbol string) string {
	path, _, _ := strings.Cut(symbol, "[")
	path = strings.TrimPrefix(path, "type:.eq.")
	parts := strings.Split(path, "/")
	switch {
	case strings.HasPrefix(path, "go:") || strings.HasPrefix(path, "type:"):
		return "tables"
	case len(parts) >= 3 && strings.Contains(parts[0], "."):
		name, _, _ := strings.Cut(parts[2], ".")
		return strings.ReplaceAll(parts[0]+"/"+parts[1]+"/"+name, "%2e", ".")
	}
	first, _, _ := strings.Cut(parts[0], ".")
	return first
}
