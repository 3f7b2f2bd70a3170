package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cities are the five regions of the lab's catalog, a host in each.
var cities = []string{"Amsterdam", "London", "Toronto", "Lusaka", "Sydney"}

// mesh is a coordinator and five agents as separate processes, each in its own namespace.
type mesh struct {
	t           *testing.T
	programs    programs
	coordinator *server
	process     *process // the coordinator's
	data        string
	hosts       map[string]*server
	agents      map[string]*process
	smtp        *process
	web         *http.Client
}

const mail = "NC1" // the host that runs a service besides answering pings

// startMesh builds the programs, lays the network and has every agent join, as the README tells it.
func startMesh(t *testing.T) *mesh {
	requireNamespaces(t)
	n := newNetwork(t)
	m := &mesh{t: t, programs: build(t), data: t.TempDir(), hosts: map[string]*server{}, agents: map[string]*process{}}
	m.coordinator = n.add("coordinator")
	for i := range cities {
		name := fmt.Sprintf("NC%d", i+1)
		m.hosts[name] = n.add(name)
	}
	m.web = m.coordinator.client()
	m.writeCatalog(25)
	m.startMail()
	m.startCoordinator()
	for name := range m.hosts {
		m.join(name)
	}
	return m
}

func (m *mesh) catalogFile() string { return filepath.Join(m.data, "catalog.yaml") }

func (m *mesh) writeCatalog(smtpPort int) {
	m.t.Helper()
	var b strings.Builder
	b.WriteString("page: {title: Lab}\nregions:\n")
	for _, city := range cities {
		fmt.Fprintf(&b, "  - {name: %s, city: %s, country: NL, latitude: 1, longitude: 1}\n", strings.ToLower(city), city)
	}
	b.WriteString("hosts:\n")
	for i, city := range cities {
		name := fmt.Sprintf("NC%d", i+1)
		fmt.Fprintf(&b, "  - name: %s\n    region: %s\n    address: %s\n    public: true\n    checks:\n      - {kind: ping}\n",
			name, strings.ToLower(city), m.hosts[name].address)
		if name == mail {
			fmt.Fprintf(&b, "      - {kind: tcp, name: Sending mail, port: %d, banner: \"^220 \"}\n", smtpPort)
		}
	}
	m.writeFile(m.catalogFile(), b.String())
}

func (m *mesh) writeFile(name, content string) {
	m.t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mesh) startMail() {
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	m.smtp = m.hosts[mail].start("smtp", []string{serveVariable + "=:25"}, self)
}

func (m *mesh) startCoordinator() {
	m.process = m.coordinator.start("coordinator", nil, m.programs.coordinator, "serve",
		"--catalog", m.catalogFile(), "--data", m.data, "--listen", m.coordinator.address+":8080",
		"--nats-listen", m.coordinator.address+":4222", "--advertise", m.coordinator.address)
	eventually(m.t, 15*time.Second, "the coordinator is ready", func() error {
		_, err := m.get("/readyz")
		return err
	})
}

// join invites the host and starts its agent.
func (m *mesh) join(name string) {
	m.t.Helper()
	state := m.t.TempDir()
	token := m.coordinator.run(m.programs.coordinator, "invite", name, "--data", m.data)
	m.hosts[name].run(m.programs.agent, "join", token, "--state", state)
	m.agents[name] = m.hosts[name].start("agent", nil, m.programs.agent, "run", "--state", state)
}

// get asks the public side, from the coordinator's own namespace.
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

// statuses are the public words for each host and each of its checks ("NC1", "NC1 ping"), from /api/v2/summary.json.
func (m *mesh) statuses() (map[string]string, error) {
	body, err := m.get("/api/v2/summary.json")
	if err != nil {
		return nil, err
	}
	var summary struct {
		Components []struct {
			ID, Name, Status string
			Group            bool
			GroupID          *string `json:"group_id"`
		}
	}
	if err := json.Unmarshal(body, &summary); err != nil {
		return nil, err
	}
	groups, out := map[string]string{}, map[string]string{}
	for _, c := range summary.Components {
		if c.Group {
			groups[c.ID], out[c.Name] = c.Name, c.Status
		}
	}
	for _, c := range summary.Components {
		if c.GroupID != nil {
			out[groups[*c.GroupID]+" "+c.Name] = c.Status
		}
	}
	return out, nil
}

// want waits until the named hosts or checks have the status, and tells how long that took.
func (m *mesh) want(within time.Duration, status string, names ...string) time.Duration {
	m.t.Helper()
	return eventually(m.t, within, strings.Join(names, ", ")+" "+status, func() error {
		got, err := m.statuses()
		if err != nil {
			return err
		}
		for _, name := range names {
			if got[name] != status {
				return fmt.Errorf("%s is %q; all: %v", name, got[name], got)
			}
		}
		return nil
	})
}

// always fails when one of the named hosts or checks has another status during the time given.
func (m *mesh) always(during time.Duration, status string, names ...string) {
	m.t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		got, err := m.statuses()
		if err != nil {
			m.t.Fatal(err)
		}
		for _, name := range names {
			if got[name] != status {
				m.t.Fatalf("%s turned %q, wanted %q throughout; all: %v", name, got[name], status, got)
			}
		}
	}
}

// transition is one line of the host's history.
type transition struct {
	Host, Check, From, To, Verdict, Sentence string
	Began, Published                         time.Time
}

func (m *mesh) transitions(host string) []transition {
	m.t.Helper()
	body, err := m.get("/api/v1/transitions?host=" + url.QueryEscape(host))
	if err != nil {
		m.t.Fatal(err)
	}
	var out []transition
	if err := json.Unmarshal(body, &out); err != nil {
		m.t.Fatalf("transitions: %v: %s", err, body)
	}
	return out
}

// last is the newest transition of the host that brought it to the status.
func (m *mesh) last(host, status string) transition {
	m.t.Helper()
	all := m.transitions(host)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].To == status && all[i].From != status {
			return all[i]
		}
	}
	m.t.Fatalf("%s was never brought to %s: %v", host, status, all)
	return transition{}
}

// everything names every host and every check.
func (m *mesh) everything() []string {
	names := []string{mail + " Sending mail"}
	for name := range m.hosts {
		names = append(names, name, name+" ping")
	}
	return names
}

func (m *mesh) everyHost() []string {
	var names []string
	for name := range m.hosts {
		names = append(names, name)
	}
	return names
}
