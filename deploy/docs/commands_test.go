package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/probemesh/probemesh/deploy/examples"
	"github.com/probemesh/probemesh/pkg/testenv"
)

const script = ".ci/run" // the script of continuous integration

// claims names the commands of the manual that another test runs, as they stand or but for addresses and paths. A test
// is named by its package's directory and its name, a line of the script by the script and the line.
// TestCommandsOfTheManual runs all other commands.
var claims = map[string][]string{
	script + " go run ./coordinator demo":  {"go run ./coordinator demo"},
	script + " go test -timeout 30m ./...": {"go test ./..."},
	"deploy/docs TestCommandsOfTheManual": {
		"CGO_ENABLED=0 go build ./coordinator",
		"CGO_ENABLED=0 go build ./agent",
	},
	"coordinator/node TestARestoreAppliesRemovals": {
		"probemesh-coordinator restore /var/backups/probemesh --removals /var/backups/newer/removals.json",
	},
	"coordinator/node TestARestoreRemovesSecretsOfEarlierVersions": {
		"probemesh-coordinator restore /var/backups/probemesh --rewrite-secrets=/etc/probemesh/catalog.yaml",
	},
	"coordinator/node TestAProgramWritesByToken": {
		`curl -sS -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: deploy-42" -d @post.json` +
			` http://127.0.0.1:8080/api/v1/posts`,
	},
	"deploy/docs/screenshot TestScreenshot":    {"go run ./deploy/docs/screenshot"},
	"deploy/simulation TestLiarTableIsCurrent": {"go run ./deploy/simulation -liars -write deploy/docs/rule.md"},
	"deploy/packages TestFromTwoPackageFilesToVotesThatCount": {
		"go run ./deploy/packages --version 0.1.0 --out dist",
		"dpkg --install probemesh-coordinator_0.1.0-1_amd64.deb",
		"dpkg --install probemesh-agent_0.1.0-1_amd64.deb",
		"dpkg --install probemesh-agent_0.1.1-1_amd64.deb",
		"dpkg --remove probemesh-agent",
		"dpkg --purge probemesh-agent",
		"rpm --upgrade probemesh-agent-0.1.0-1.x86_64.rpm",
		"rpm --erase probemesh-agent",
		"probemesh-agent join TOKEN",
		"probemesh-agent doctor",
		"probemesh-agent status",
	},
	"deploy/packages TestUnderSystemd": {
		"systemctl enable --now probemesh-coordinator",
		"systemctl enable --now probemesh-agent",
		"journalctl --unit probemesh-coordinator --priority warning --since today",
	},
	"deploy/packages TestImages": {
		"podman build --file deploy/container/coordinator.Containerfile --build-arg VERSION=0.1.0" +
			" --tag probemesh-coordinator .",
		"podman build --file deploy/container/agent.Containerfile --build-arg VERSION=0.1.0 --tag probemesh-agent .",
		"podman run --detach --name coordinator --publish 8080:8080 --publish 4222:4222" +
			" --volume probemesh-coordinator:/var/lib/probemesh/coordinator" +
			" --volume ./catalog.yaml:/etc/probemesh/catalog.yaml:ro" +
			" --env PROBEMESH_ADVERTISE=status.example.net probemesh-coordinator",
		"podman exec coordinator /usr/bin/probemesh-coordinator invite NC036",
		"podman run --rm --volume probemesh-agent:/var/lib/probemesh/agent probemesh-agent join TOKEN",
		"podman run --detach --network host --volume probemesh-agent:/var/lib/probemesh/agent probemesh-agent",
	},
	"coordinator TestExport": {
		"probemesh-coordinator export /var/www/status", "probemesh-coordinator export /var/www/status --watch",
	},
	"coordinator TestReplica": {"probemesh-coordinator replica --from https://status.example.net"},
	"coordinator TestScripts": {
		"probemesh-coordinator import blog.xml --dry-run --group", "probemesh-coordinator import blog.xml",
	},
	"coordinator TestPeopleAreNotified": {
		"probemesh-coordinator notify test", "probemesh-coordinator notify explain NC036",
	},
	"coordinator/allowlist TestFormatForNft": {"probemesh-coordinator vantages --format nft | nft -f -"},
	"coordinator TestCoordinatorMonitorsItself": {
		"probemesh-coordinator serve --catalog /etc/probemesh/catalog.yaml" +
			" --heartbeat-url https://ping.example.net/1234",
	},
	"coordinator TestMeshOnACluster": {
		"nats-server -c /etc/nats/nats.conf",
		"probemesh-coordinator serve --nats tls://nats-1.example.net:4222,tls://nats-2.example.net:4222," +
			"tls://nats-3.example.net:4222",
	},
	"coordinator TestRestoreOfACoordinatorOnACluster": {
		"probemesh-coordinator restore /var/backups/probemesh --nats tls://nats-1.example.net:4222",
	},
	"agent TestScripts": {
		"ssh status.example.net probemesh-coordinator invite NC036 | probemesh-agent join -",
	},
	"pkg/command TestLogFormats": {"probemesh-agent run --log-format json"},
	"pkg/probe TestHTTP": {
		"probemesh-agent probe http https://www.example.net/ body='Sign in' certificate_days=14",
	},
	"pkg/probe TestMailSessions": {
		"probemesh-agent probe smtp mail.example.net:587 starttls=true certificate_days=14",
	},
	"pkg/probe TestBINDAndKnotAnswerDNSChecks": {
		"probemesh-agent probe dns 192.0.2.53 query=example.net type=SOA expect=ns1.example.net authoritative=true",
	},
	"pkg/probe TestKamailioAnswersSIPChecks": {"probemesh-agent probe sip 192.0.2.34 transport=tcp codes=200,401"},
	"pkg/probe TestTLSHandshakes":            {"probemesh-agent probe tls mail.example.net:993 certificate_days=14"},
	"deploy/simulation TestTheSameSeedGivesTheSameTable": {
		"go run ./deploy/simulation",
		"go run ./deploy/simulation -write deploy/docs/simulation.md",
	},
	"deploy/lab TestOutages": {
		"go test -timeout 30m ./deploy/lab -run .",
		"go test ./deploy/lab -run 'TestOutages/a_service_is_killed' -v",
	},
	"deploy/lab TestChaos":        {"go test ./deploy/lab -run Chaos -timeout 30m -v -args -chaos 10m -seed 7"},
	"deploy/lab BenchmarkLatency": {"go test ./deploy/lab -run '^$' -bench Latency -benchtime 100x -timeout 2h"},
	"deploy/lab TestAgentAtRest":  {"go test ./deploy/lab -run AgentAtRest -v"},
	"coordinator TestDemo":        {"PROBEMESH_SCREENSHOTS=DIR go test ./coordinator"},
	"coordinator/site TestCheckersFindNothing": {
		"PROBEMESH_SCREENSHOTS=DIR go test ./coordinator/site -run TestCheckersFindNothing",
	},
	"coordinator/console TestPagesOfALargeMeshStaySmall": {
		"PROBEMESH_SCREENSHOTS=DIR go test ./coordinator/console",
	},
	"deploy/lab BenchmarkPictures": {"PROBEMESH_SCREENSHOTS=DIR go test ./deploy/lab -run '^$' -bench Pictures"},
}

// claimedBy returns the test or the script's line that runs each claimed command.
func claimedBy() map[string]string {
	out := map[string]string{}
	for test, commands := range claims {
		for _, command := range commands {
			out[command] = test
		}
	}
	return out
}

// TestClaims finds every claimed command in the manual, and every test that claims one.
func TestClaims(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range manualCommands(t) {
		seen[c.text] = true
	}
	for command, claim := range claimedBy() {
		switch {
		case !seen[command]:
			t.Errorf("the manual has no command %q any more: remove its claim", command)
		case strings.HasPrefix(claim, script):
			text, err := os.ReadFile("../../" + script)
			if line := strings.TrimPrefix(claim, script+" "); err != nil || !strings.Contains(string(text), "\n"+line) {
				t.Errorf("%s does not run %q: %v", script, line, err)
			}
		case !testExists(t, claim):
			t.Errorf("%q is said to be run by %q, which is no test", command, claim)
		}
	}
}

// testExists reports whether a claim names a test or benchmark: "agent TestScripts".
func testExists(t *testing.T, claim string) bool {
	t.Helper()
	dir, name, _ := strings.Cut(claim, " ")
	files, err := filepath.Glob(filepath.Join("../..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == name {
				return true
			}
		}
	}
	return false
}

// command is one line of a block of shell commands.
type command struct {
	file string
	line int
	text string
}

// manualCommands returns the lines of all blocks of shell commands. A line that ends with a backslash goes on.
func manualCommands(t *testing.T) (commands []command) {
	t.Helper()
	for _, p := range readManual(t) {
		for _, b := range p.blocks {
			if b.language != "sh" {
				continue
			}
			begun := ""
			for i, line := range b.lines {
				if head, goesOn := strings.CutSuffix(line, "\\"); goesOn {
					begun += strings.TrimSpace(head) + " "
					continue
				}
				commands = append(commands, command{b.file, b.line + 1 + i, begun + strings.TrimSpace(line)})
				begun = ""
			}
		}
	}
	if len(commands) < 40 {
		t.Fatalf("the manual has only %d commands", len(commands))
	}
	return commands
}

// TestCommandsOfTheManual runs every command that no other test claims, in the order of the manual, as an operator of
// the demo's mesh would: with the programs in $PATH and the demo's data directory in $PROBEMESH_DATA.
func TestCommandsOfTheManual(t *testing.T) {
	testenv.RequirePrograms(t, map[string]string{"curl": "curl", "bash": "bash"})
	testenv.RequireLong(t)
	testenv.Lock(t, "demo") // commands name ports that another demo would have
	w := startWorld(t)
	w.checkFlags("probemesh-coordinator", "serve")
	w.checkFlags("probemesh-agent", "run")
	claimed, ran := claimedBy(), map[string]bool{}
	for _, c := range manualCommands(t) {
		if claimed[c.text] == "" && !ran[c.text] {
			ran[c.text] = true
			w.run(c)
		}
	}
}

// world is a demo that runs, and what a shell needs to operate it.
type world struct {
	t           *testing.T
	dir         string
	data        string   // the coordinator's
	public      string   // address of the status page
	fresh       int      // data directories for restore
	post        string   // the id of the post that a command published
	incident    string   // the id of the incident that was opened last
	update      string   // the id of its first update by a person
	environment []string // of its commands
}

// startWorld builds the programs, starts the demo and writes the files that the manual's commands read.
func startWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "pm") // a short name, since the path of the coordinator's socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &world{t: t, dir: dir, public: testenv.FreeAddress(t)}
	for program, pkg := range map[string]string{"probemesh-coordinator": "coordinator", "probemesh-agent": "agent"} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", program), "./"+pkg)
		build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v: %s", pkg, err, out)
		}
	}
	for _, file := range []string{"catalog.yaml", "etc/probemesh/catalog.yaml"} {
		w.write(file, examples.Ninernet)
	}
	w.write("news.md", []byte("It takes **ten** servers.\n"))
	w.write("etc/postfix/old", nil)
	w.write("etc/fail2ban/jail.d/old", nil)
	w.write("usr/share/doc/probemesh-coordinator/examples/catalog.yaml", examples.Ninernet)
	w.startDemo()
	path := filepath.Join(dir, "bin") + ":" + os.Getenv("PATH")
	w.environment = append(os.Environ(), "PATH="+path, "PROBEMESH_DATA="+w.data)
	return w
}

// checkFlags finds every flag of a command in operate.md.
func (w *world) checkFlags(program, command string) {
	w.t.Helper()
	operate, err := os.ReadFile("operate.md")
	if err != nil {
		w.t.Fatal(err)
	}
	help, err := exec.Command(filepath.Join(w.dir, "bin", program), command, "--help").Output()
	if err != nil {
		w.t.Fatal(err)
	}
	flags := regexp.MustCompile(`(?m)^ +(?:-., )?(--[a-z-]+)`).FindAllSubmatch(help, -1)
	if len(flags) < 4 {
		w.t.Errorf("%s %s has only the flags %q", program, command, flags)
	}
	for _, flag := range flags {
		if name := string(flag[1]); name != "--help" && !bytes.Contains(operate, []byte("`"+name+" ")) {
			w.t.Errorf("operate.md does not document %s of %s %s", name, program, command)
		}
	}
}

func (w *world) write(name string, data []byte) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// startDemo starts the demo and waits until every host is operational.
func (w *world) startDemo() {
	w.t.Helper()
	var log bytes.Buffer
	program := filepath.Join(w.dir, "bin/probemesh-coordinator")
	demo := exec.Command(program, "demo", "--listen", w.public, "--ops", "127.0.0.1:0")
	demo.Stdout, demo.Stderr, demo.Env = &log, &log, append(os.Environ(), "TMPDIR="+w.dir)
	if err := demo.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = demo.Process.Signal(syscall.SIGTERM)
		if err := demo.Wait(); err != nil {
			w.t.Errorf("the demo ended with %v: %s", err, log.Bytes())
		}
	})
	summary := "http://" + w.public + "/api/v2/status.json"
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		out, err := exec.Command("curl", "-sS", "--max-time", "10", summary).CombinedOutput()
		if err == nil && bytes.Contains(out, []byte(`"none"`)) {
			break
		}
		if time.Now().After(end) {
			w.t.Fatalf("the demo is never operational: %v: %s", err, out)
		}
	}
	found, err := filepath.Glob(filepath.Join(w.dir, "probemesh-demo-*"))
	if err != nil || len(found) != 1 {
		w.t.Fatalf("the demo's data directory is one of %v: %v", found, err)
	}
	w.data = found[0]
}

// writtenUpdate returns the id of the first update of the incident that a person wrote.
func (w *world) writtenUpdate() string {
	w.t.Helper()
	show := exec.Command(filepath.Join(w.dir, "bin/probemesh-coordinator"), "incident", "show", w.incident, "--json")
	show.Env = w.environment
	out, err := show.Output()
	var i struct{ Updates []struct{ ID, By string } }
	if err := errors.Join(err, json.Unmarshal(out, &i)); err != nil {
		w.t.Fatal(err)
	}
	for _, u := range i.Updates {
		if u.By == "people" {
			return u.ID
		}
	}
	w.t.Fatalf("nobody wrote about %s: %s", w.incident, out)
	return ""
}

// run runs a command in the shell. Addresses, times and absolute paths are replaced by those of this world.
func (w *world) run(c command) {
	w.t.Helper()
	now := time.Now().UTC().Format(time.RFC3339)
	line := strings.NewReplacer(
		"127.0.0.1:8080", w.public, "127.0.0.1:25 ", "127.0.36.1:20025 ",
		"/etc/", w.dir+"/etc/", "/usr/share/", w.dir+"/usr/share/", "/var/", w.dir+"/var/",
		"--at 2026-03-01T02:31:00Z", "--at "+now, "--at 02:31", "--at "+now, "--at 10m", "--at 1s",
		" post edit ID ", " post edit "+w.post+" ", " post delete ID", " post delete "+w.post,
		" INCIDENT ", " "+w.incident+" ", " UPDATE ", " "+w.update+" ",
	).Replace(c.text)
	shell := exec.Command("bash", "-o", "pipefail", "-ec", line)
	shell.Dir, shell.Env = w.dir, w.environment
	if strings.Contains(line, " restore ") { // into a data directory of its own
		w.fresh++
		shell.Env = append(shell.Env, fmt.Sprintf("PROBEMESH_DATA=%s/restored%d", w.dir, w.fresh))
	}
	out, err := shell.CombinedOutput()
	const timedOut = 28 // curl's exit code when --max-time ends a stream
	if strings.Contains(line, "--max-time") && shell.ProcessState.ExitCode() == timedOut {
		err = nil
	}
	if err != nil {
		w.t.Errorf("%s:%d: %s: %v: %s", c.file, c.line, line, err, out)
		return
	}
	if strings.Contains(line, " post publish ") {
		w.post = strings.TrimSpace(string(out)) // which the command prints alone
	}
	if strings.Contains(line, " incident open ") {
		w.incident = strings.TrimSpace(string(out))
		w.update = w.writtenUpdate()
	}
	w.t.Logf("%s\n%s", line, out)
}
