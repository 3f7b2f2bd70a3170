package prometheus

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/probemesh/probemesh/pkg/testenv"
)

func promtool(t *testing.T, args ...string) {
	t.Helper()
	testenv.RequirePrograms(t, map[string]string{"promtool": "prometheus"})
	if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// The rules do on recorded series what their test file says, and each alert has a test that sees it fire.
func TestRules(t *testing.T) {
	promtool(t, "check", "rules", "rules.yaml")
	promtool(t, "test", "rules", "rules_test.yaml")
	tests, err := os.ReadFile("rules_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules(t) {
		fires := regexp.MustCompile(`alertname: ` + r.Alert + `\n +exp_alerts:\n +- exp_labels`)
		if r.Alert != "" && !fires.Match(tests) {
			t.Errorf("no test sees the alert %s fire", r.Alert)
		}
	}
}

type rule struct{ Alert, Expr string }

func rules(t *testing.T) (out []rule) {
	t.Helper()
	data, err := os.ReadFile("rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	if len(out) < 10 {
		t.Fatalf("%d rules", len(out))
	}
	return out
}

// dashboard is what the tests read of a dashboard.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []struct {
		ID                 int
		Title, Description string
		GridPos            struct{ X, Y, W, H int }
		Datasource         struct{ UID string }
		Targets            []struct {
			RefID, Expr string
			Datasource  struct{ UID string }
		}
	}
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("../grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	out := map[string]dashboard{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(data, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out[file] = d
	}
	return out
}

// Dashboards have what Grafana's own linter asks for: titles, descriptions, a data source that the reader chooses, and
// panels that do not overlap.
func TestDashboards(t *testing.T) {
	for file, d := range dashboards(t) {
		if d.UID == "" || d.Title == "" || d.SchemaVersion == 0 || len(d.Panels) == 0 {
			t.Errorf("%s: uid %q, title %q, %d panels", file, d.UID, d.Title, len(d.Panels))
		}
		names := map[string]bool{}
		for _, v := range d.Templating.List {
			names[v.Name] = true
		}
		if !names["datasource"] {
			t.Errorf("%s: no data source to choose", file)
		}
		ids, taken := map[int]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.Title == "" || p.Description == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
				t.Errorf("%s: the panel %q has id %d, %d targets, data source %q", file, p.Title, p.ID, len(p.Targets),
					p.Datasource.UID)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
						t.Fatalf("%s: %q overlaps %q, or leaves the page", file, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

// Prometheus can parse every query of the dashboards.
func TestQueriesOfDashboardsParse(t *testing.T) {
	type record struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var all []record
	for _, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				all = append(all, record{"a:b", target.Expr})
			}
		}
	}
	for i := range all {
		all[i].Record += strings.Repeat("x", i) // promtool refuses duplicates
	}
	data, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "queries", "rules": all}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

// Every metric of rules and dashboards is exported: a query of another one is empty for ever, and no alert fires.
func TestEveryMetricIsExported(t *testing.T) {
	exported := map[string]bool{"up": true}
	files, err := filepath.Glob("../../coordinator/console/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`describe\(\s*"([a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
			exported[match[1]] = true
		}
	}
	queries := map[string]string{}
	for _, r := range rules(t) {
		queries["the rule "+r.Alert] = r.Expr
	}
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				queries[file+" "+p.Title+" "+target.RefID] = target.Expr
			}
		}
		for _, v := range d.Templating.List {
			queries[file+" "+v.Name] = v.Definition
		}
	}
	metric := regexp.MustCompile(`\b(probemesh_[a-z_]+|probe_[a-z_]+)\b`)
	n := 0
	for where, query := range queries {
		for _, name := range metric.FindAllString(query, -1) {
			if n++; !exported[name] {
				t.Errorf("%s queries %s, which no coordinator exports", where, name)
			}
		}
	}
	if n < 20 || len(exported) < 30 {
		t.Errorf("%d metrics in queries, %d exported: adapt this test", n, len(exported))
	}
}
