package console

import (
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// The end of each credential and certificate that the mesh itself uses is shown before it comes, also to programs.
func TestAgentsShowWhenCertificatesEnd(t *testing.T) {
	m := newLargeMesh(2)
	day := 24 * time.Hour
	handler := New(Config{
		Source: m, Site: http.NotFoundHandler(), Logger: zerolog.Nop(),
		CredentialEnds: func() map[string]time.Time {
			return map[string]time.Time{"host0000": m.snapshot.At.Add(60*day + time.Hour)}
		},
		Certificates: func(now time.Time) []health.Certificate {
			return []health.Certificate{
				{What: "certificate of the status page", Issued: now.Add(-80 * day), Ends: now.Add(10*day + time.Hour)},
				{What: "CA of the mesh", Issued: now.Add(-10 * day), Ends: now.Add(3640*day + time.Hour)},
			}
		},
	})
	get := func(path string) string {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Body.String()
	}
	page := get("/agents")
	for _, want := range []string{
		">in 60 d 1 h</span>", "<td class=\"num\">–</td></tr>", `<b class="degraded state">in 10 d 1 h</b>`,
		`<td class="num">in 3640 d 1 h</td>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Count(page, "degraded state") != 1 {
		t.Error("another certificate than the one that ends soon is marked")
	}
	if csv := get("/agents.csv?table=certificates"); strings.Count(csv, "\n") != 3 ||
		!strings.Contains(csv, m.snapshot.At.Add(10*day+time.Hour).UTC().Format("2006-01-02T15:04:05")) {
		t.Errorf("the table for programs is %q", csv)
	}
	if csv := get("/agents.csv"); !strings.Contains(csv, ",credential_ends_at,") ||
		!strings.Contains(csv, m.snapshot.At.Add(60*day+time.Hour).UTC().Format("2006-01-02T15:04:05")) {
		t.Errorf("the table of agents for programs is %q", csv)
	}
}

// A silent agent comes first, with what its silence means: whether other regions reach its host, and what to do.
func TestAgentsThatAreSilentSayWhy(t *testing.T) {
	m := newLargeMesh(5)
	at := m.snapshot.At
	vantages, hosts := m.snapshot.Vantages, m.snapshot.Hosts
	for n := range 4 {
		vantages[n].LastBatch = at
	}
	for n := 1; n < 4; n++ { // one whose host answers, one whose host is down, one of which nothing is known
		vantages[n].Silent, vantages[n].LastBatch = true, at.Add(-90*time.Second)
	}
	vantages[4].LastBatch = time.Time{}
	for n, vote := range map[int]mesh.Vote{1: mesh.OK, 2: mesh.Bad, 3: mesh.Abstain} {
		c := &mesh.CheckState{Name: "ping", Verdict: mesh.Up, Votes: []mesh.RegionVote{{Region: "elsewhere", Vote: vote}}}
		if vote == mesh.Bad {
			c.Verdict = mesh.Down
		}
		c.Votes[0].Edges = []mesh.EdgeState{{Vantage: "x", Vote: vote, Outcome: mesh.Reachable, At: at.Add(-time.Second)}}
		hosts[n].Checks = []mesh.CheckState{*c}
	}
	r := httptest.NewRequest(http.MethodGet, "/agents", nil)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	New(Config{Source: m, Site: http.NotFoundHandler(), Logger: zerolog.Nop()}).ServeHTTP(w, r)
	page := html.UnescapeString(w.Body.String())
	for name, want := range map[string]string{
		vantages[1].Name: "Silent for 1 min, and its host answers: the agent has stopped, or does not reach NATS. On that " +
			"server: <code>systemctl status probemesh-agent</code>",
		vantages[2].Name: "Silent for 1 min; its host is down or cut off, too.",
		vantages[3].Name: "Silent for 1 min; other regions have not reached its host since.",
		vantages[4].Name: "A token lets it join: <code>coordinator invite " + vantages[4].Name + "</code>",
	} {
		_, after, _ := strings.Cut(page, ">"+name+"</a></th>")
		row, _, _ := strings.Cut(after, "</tr>")
		if !strings.Contains(row, want) {
			t.Errorf("%s: %s", name, row)
		}
	}
	if strings.Index(page, ">"+vantages[0].Name+"<") < strings.Index(page, ">"+vantages[4].Name+"<") {
		t.Error("an agent that needs nothing comes first")
	}
}

// silentMesh warns of a silent agent.
type silentMesh struct{ largeMesh }

func (silentMesh) Warnings() map[string]string {
	return map[string]string{"silent": "Silent agents: HOST0001 since 02:31:07Z."}
}

// The overview does not list an agent as silent beside its host that is down: nobody can log in there.
func TestAHostThatIsDownIsListedOnce(t *testing.T) {
	for verdict, want := range map[mesh.Verdict]bool{mesh.Down: false, mesh.Up: true} {
		m := silentMesh{newLargeMesh(5)}
		for n := range m.snapshot.Vantages {
			m.snapshot.Vantages[n].Silent, m.snapshot.Vantages[n].LastBatch = n == 1, m.snapshot.At
		}
		for k := range m.snapshot.Hosts[1].Checks {
			m.snapshot.Hosts[1].Checks[k].Verdict = verdict
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		New(Config{Source: m, Site: http.NotFoundHandler(), Logger: zerolog.Nop()}).ServeHTTP(w, r)
		if got := strings.Contains(w.Body.String(), "Agents are silent"); got != want {
			t.Errorf("its checks are %s: the agent is listed: %v", verdict, got)
		}
	}
}
