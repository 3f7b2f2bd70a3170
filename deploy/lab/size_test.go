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

// composition says how large the program is and of what: the symbols' sizes by module, from a build that has them.
func composition(t testing.TB, program string) {
	t.Helper()
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(t.TempDir(), "agent")
	cmd := exec.Command("go", "build", "-trimpath", "-o", whole, "github.com/probemesh/probemesh/agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, said)
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
	var said []string
	tables := int(info.Size())
	for i, name := range names {
		if tables -= sizes[name]; i < shown {
			said = append(said, fmt.Sprintf("%s %.2f", name, mb(sizes[name])))
		}
	}
	t.Logf("stripped: %.1f MB; %.1f MB of it are constants and Go's tables of lines and types, which have no symbols; the rest in MB: %s",
		mb(int(info.Size())), mb(tables), strings.Join(said, ", "))
}

// bySource sums symbols' sizes by the module or the part of the standard library that they come from.
func bySource(symbols []byte) map[string]int {
	out := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(symbols))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || strings.EqualFold(fields[2], "b") || fields[2] == "U" {
			continue
		}
		const zeroed = 16 << 20 // larger than the program: room that is only set aside when it runs, as the random generator's
		if size, err := strconv.Atoi(fields[1]); err == nil && size < zeroed {
			out[source(fields[3])] += size
		}
	}
	return out
}

// source is where a symbol comes from: github.com/nats-io/nats.go, crypto, runtime.
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
