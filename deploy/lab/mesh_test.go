package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	nouns "github.com/probemesh/probemesh/pkg/mesh"
)

// hosts are the lab's ten servers. All are public, so that the status page shows every one.
var hosts = []struct {
	name, region string
	services     []string
}{
	{"NC023", "london", nil},
	{"NC028", "vancouver", nil},
	{"NC031", "new-york", nil},
	{"NC033", "toronto", []string{"dns"}},
	{"NC034", "lusaka", nil},
	{"NC035", "sydney", []string{"dns"}},
	{"NC036", "amsterdam", []string{"smtp", "imap"}},
	{"NC040", "toronto", nil},
	{"NC041", "new-york", []string{"web"}},
	{"NC042", "seattle", []string{"web"}},
}

// mesh is a coordinator, ten agents and the servers' services as separate processes, joined by the WAN. The coordinator
// has a namespace of its own, in Seattle.
type mesh struct {
	t           testing.TB
	programs    programs
	wan         *wan
	coordinator *server
	process     *process // the coordinator's
	data        string
	interval    time.Duration
	rule        string // settings of the catalog's rule, where they are not the defaults
	notify      string // a section of the catalog
	page        string // settings of the catalog's page
	hosts       map[string]*server
	roles       roles
	states      map[string]string       // state directories of the agents
	disk        func(testing.TB) string // creates a state directory
	agents      map[string]*process
	services    map[string]*process // by host and service: "NC036 smtp"
	mu          sync.Mutex          // of agents and services: two operators may break the mesh at the same time
	clocks      map[string]string   // offsets of agents whose clock is wrong
	stepFile    string              // holds the offset of the coordinator's clock, if that can be stepped
	firewalled  map[string]bool     // servers with a firewall that a story set up
	asked       time.Time           // when the overview was last asked for what it has now
	control     *admin.Client
	web         *http.Client
}

// roles are the services of each host, the kinds that they are of, and what to replace in the kinds' checks.
type roles struct {
	services map[string][]string // by host
	kinds    map[string]service
	texts    map[string]string
}

// ordinaryRoles are what the lab's hosts serve unless a test has servers of its own.
func ordinaryRoles() roles {
	r := roles{services: map[string][]string{}, kinds: services}
	for _, h := range hosts {
		r.services[h.name] = h.services
	}
	return r
}

// startMesh builds the programs, creates the network, starts everything and has every agent join, as the manual says.
// It returns when all hosts are operational.
func startMesh(t testing.TB, interval time.Duration, rule string) *mesh {
	t.Helper()
	return startMeshOn(t, interval, rule, func(t testing.TB) string { return t.TempDir() })
}

// startMeshOf is startMesh with other services.
func startMeshOf(t testing.TB, interval time.Duration, r roles) *mesh {
	t.Helper()
	return startMeshWith(t, interval, "", func(t testing.TB) string { return t.TempDir() }, r)
}

// startMeshOn is startMesh with the agents' state in directories that disk creates.
func startMeshOn(t testing.TB, interval time.Duration, rule string, disk func(testing.TB) string) *mesh {
	t.Helper()
	return startMeshWith(t, interval, rule, disk, ordinaryRoles())
}

func startMeshWith(
	t testing.TB, interval time.Duration, rule string, disk func(testing.TB) string, r roles,
) *mesh {
	t.Helper()
	requireLab(t)
	m := &mesh{
		t: t, programs: build(t), data: t.TempDir(), interval: interval, rule: rule, disk: disk, roles: r,
		hosts: map[string]*server{}, states: map[string]string{}, agents: map[string]*process{},
		services: map[string]*process{}, clocks: map[string]string{}, firewalled: map[string]bool{},
	}
	names, region := []string{"coordinator"}, map[string]string{"coordinator": "seattle"}
	for _, h := range hosts {
		names = append(names, h.name)
		region[h.name] = h.region
	}
	m.wan = newWAN(t, names, region)
	for _, s := range m.wan.servers {
		m.hosts[s.name] = s
	}
	m.coordinator = m.hosts["coordinator"]
	delete(m.hosts, "coordinator")
	m.control, m.web = admin.NewClient(m.data), m.coordinator.client()
	m.writeCatalog(25)
	m.startCoordinator()
	for _, h := range hosts {
		for _, s := range r.services[h.name] {
			m.startService(h.name, s)
		}
		m.join(h.name)
	}
	m.awaitAllUp()
	return m
}

// catalogFile is the file that the coordinator follows.
func (m *mesh) catalogFile() string { return filepath.Join(m.data, "catalog.yaml") }

// writeCatalog writes the catalog of all hosts. The coordinator follows the file. A wrong SMTP port is a typing mistake
// that a story makes.
func (m *mesh) writeCatalog(smtpPort int) {
	m.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "page: {title: Lab%s}\ndefaults: {interval: %s, timeout: 3s}\n", m.page, m.interval)
	fmt.Fprintf(&b, "rule: {%s}\nregions:\n", m.rule)
	for _, r := range regions {
		fmt.Fprintf(&b, "  - {name: %s, city: %s, country: %s, latitude: 1, longitude: 1}\n", r.name, r.city, r.country)
	}
	b.WriteString("hosts:\n")
	for _, h := range hosts {
		fmt.Fprintf(&b, "  - name: %s\n    region: %s\n    address: %s\n", h.name, h.region, m.hosts[h.name].address)
		b.WriteString("    public: true\n    checks:\n      - {kind: ping}\n")
		for _, s := range m.roles.services[h.name] {
			check := strings.Replace(m.roles.kinds[s].yaml, "port: 25", fmt.Sprintf("port: %d", smtpPort), 1)
			for from, to := range m.roles.texts {
				check = strings.ReplaceAll(check, from, to)
			}
			for name, s := range m.hosts {
				check = strings.ReplaceAll(check, "@"+name, s.address)
			}
			fmt.Fprintf(&b, "      - %s\n", check)
		}
	}
	b.WriteString(m.notify)
	// A file that replaces another is in force at once; one that is written in place some seconds later.
	write(m.t, m.catalogFile()+".new", b.String())
	if err := os.Rename(m.catalogFile()+".new", m.catalogFile()); err != nil {
		m.t.Fatal(err)
	}
}

// startService starts a service with a fresh configuration and state.
func (m *mesh) startService(host, name string) {
	m.t.Helper()
	program, args := m.roles.kinds[name].prepare(m.t, openDirectory(m.hosts[host].t))
	p := m.hosts[host].start(name, program, args...)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.services[host+" "+name] = p
}

// startCoordinator starts the coordinator and waits until agents can connect.
func (m *mesh) startCoordinator() {
	m.t.Helper()
	m.process = m.coordinator.start("coordinator", "env", stepVariable+"="+m.stepFile, m.programs.coordinator, "serve",
		"--catalog", m.catalogFile(), "--data", m.data, "--listen", m.coordinator.address+":8080",
		"--nats-listen", m.coordinator.address+":4222", "--advertise", m.coordinator.address)
	eventually(m.t, time.Minute, "the coordinator is ready", func() error {
		_, err := m.get("/readyz")
		return err
	})
}

// join invites the host and starts its agent.
func (m *mesh) join(name string) {
	m.t.Helper()
	m.states[name] = m.disk(m.t)
	token := m.coordinator.run(m.programs.coordinator, "invite", name, "--data", m.data)
	m.hosts[name].run(m.programs.agent, "join", token, "--state", m.states[name])
	m.startAgent(name)
}

// startAgent starts a joined agent on its state directory.
func (m *mesh) startAgent(name string) {
	m.t.Helper()
	args := []string{"run", "--state", m.states[name]}
	if offset := m.clocks[name]; offset != "" {
		args = append(args, "--clock-offset", offset)
	}
	p := m.hosts[name].start("agent", m.programs.agent, args...)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.agents[name] = p
}

// repair undoes everything that a story may have done, and waits until all hosts are operational.
func (m *mesh) repair() {
	m.t.Helper()
	m.wan.mend()
	clear(m.clocks)
	for name := range m.firewalled {
		m.hosts[name].run("nft", "delete table inet broken")
	}
	clear(m.firewalled)
	if !m.process.running() {
		m.startCoordinator()
	}
	for _, h := range hosts {
		for _, s := range m.roles.services[h.name] {
			p := m.services[h.name+" "+s]
			p.signal(syscall.SIGCONT)
			if !p.running() {
				m.startService(h.name, s)
			}
		}
		m.agents[h.name].signal(syscall.SIGCONT)
		if !m.agents[h.name].running() {
			m.startAgent(h.name)
		}
	}
	m.awaitAllUp()
}

// awaitAllUp waits until every host is operational and every check is up.
func (m *mesh) awaitAllUp() {
	m.t.Helper()
	eventually(m.t, 3*time.Minute+2*m.interval, "all hosts are operational", func() error {
		states, err := m.current()
		for name, state := range states {
			if state != "operational" && state != "up" {
				return fmt.Errorf("%s is %s", name, state)
			}
		}
		return err
	})
}

// current returns the status of every host ("NC036") and the verdict of every check ("NC036 ping"), as operators see
// them.
func (m *mesh) current() (map[string]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	state, err := m.control.State(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, h := range state.Snapshot.Hosts {
		out[h.Name] = string(h.Status)
		for _, c := range h.Checks {
			out[h.Name+" "+c.Name] = string(c.Verdict)
		}
	}
	return out, nil
}

// transitions returns the transitions that were published after the moment, oldest first.
func (m *mesh) transitions(since time.Time) []nouns.Transition {
	m.t.Helper()
	all, err := m.control.Transitions(context.Background(), "", 1000)
	if err != nil {
		m.t.Fatal(err)
	}
	for len(all) > 0 && !all[0].Published.After(since) {
		all = all[1:]
	}
	return all
}

// get requests a path of the status page, from the coordinator's own namespace.
func (m *mesh) get(path string) ([]byte, error) {
	res, err := m.web.Get("http://" + m.coordinator.address + ":8080" + path)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, res.Status)
	}
	return body, err
}

// published returns the public status of every host, from /api/v2/summary.json.
func (m *mesh) published() (map[string]string, error) {
	body, err := m.get("/api/v2/summary.json")
	if err != nil {
		return nil, err
	}
	var summary struct {
		Components []struct {
			Name, Status string
			Group        bool
		}
	}
	if err := json.Unmarshal(body, &summary); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, c := range summary.Components {
		if c.Group {
			out[c.Name] = c.Status
		}
	}
	return out, nil
}

// killService kills a service of a host.
func (m *mesh) killService(host, name string) {
	m.mu.Lock()
	p := m.services[host+" "+name]
	m.mu.Unlock()
	p.kill()
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case err := <-p.done:
		p.done <- err
		return false
	default:
		return true
	}
}

// hostsOf returns the names of the hosts in these regions.
func hostsOf(names ...string) (out []string) {
	for _, h := range hosts {
		for _, r := range names {
			if h.region == r {
				out = append(out, h.name)
			}
		}
	}
	return out
}

// othersThan returns the names of all hosts but these.
func othersThan(names ...string) (out []string) {
	for _, h := range hosts {
		besides := true
		for _, n := range names {
			besides = besides && n != h.name
		}
		if besides {
			out = append(out, h.name)
		}
	}
	return out
}
