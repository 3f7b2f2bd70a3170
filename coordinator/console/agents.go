package console

import (
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// agentRow is an agent as its page lists it.
type agentRow struct {
	web.Look
	mesh.VantageState
	Addresses      string
	City           string
	Enrolled       time.Time // since when it belongs to the mesh; zero: not known
	CredentialEnds time.Time // zero: not known
	Left           string    // how long the credential is valid
	Behind         bool      // it uses another catalog than the one in force
	Spool          string
	Silence        string // what the silence of the agent means
	Command        string // that says more of it, on the server of the agent or beside the coordinator
}

// certificateRow is a certificate in use.
type certificateRow struct {
	health.Certificate
	Left string
	Soon bool
}

// agentsView is the data of the template agents.
type agentsView struct {
	Rows         []agentRow
	All          int
	Certificates []certificateRow
}

// agentsShown bounds the agents that the page lists; the table for programs has all of them.
const agentsShown = 200

// order puts agents that need attention first.
func (a agentRow) order() int {
	if !connected(a.VantageState) || len(a.Advisories) > 0 || a.Behind {
		return 0
	}
	return 1
}

// explainSilence describes why an agent sends nothing: it never joined, its host is down, too, or the agent alone has
// stopped. It names what to do next. The host is nil if the snapshot has none for the agent.
func (a *agentRow) explainSilence(now time.Time, host *mesh.HostState) {
	if connected(a.VantageState) {
		return
	}
	if a.LastBatch.IsZero() {
		a.Silence, a.Command = "A token lets it join:", command.AsCalledHere("coordinator invite "+a.Name)
		return
	}
	a.Silence = "Silent for " + age(now.Sub(a.LastBatch))
	if host == nil {
		a.Silence += "."
		return
	}
	switch _, down := downSince(host); {
	case down:
		a.Silence += "; its host is down or cut off, too."
	case reachedSince(host, a.LastBatch):
		a.Silence += ", and its host answers: the agent has stopped, or does not reach NATS. On that server:"
		a.Command = "systemctl status probemesh-agent"
	default:
		a.Silence += "; other regions have not reached its host since."
	}
}

// agentsPage is the page of all agents.
func agentsPage(s *console, r request) (view, error) {
	hosts, states := hostsByKey(r.catalog), map[string]*mesh.HostState{}
	for i := range r.snapshot.Hosts {
		states[mesh.Key(r.snapshot.Hosts[i].Name)] = &r.snapshot.Hosts[i]
	}
	enrolled, credentials := enrolledSince(s, r), presentCredentials(s, r)
	var rows []agentRow
	t := table{name: "agents", columns: []string{
		"agent", "region", "addresses", "state", "version", "catalog", "enrolled_at", "credential_ends_at",
		"connected_at", "last_batch_at", "clock_offset_seconds", "timer_lag_seconds", "queued", "dropped", "spool",
		"abstains", "advisories",
	}}
	for _, a := range r.snapshot.Vantages {
		a.Clock, a.Lag = a.Clock.Round(time.Millisecond), a.Lag.Round(time.Millisecond)
		key := mesh.Key(a.Name)
		row := agentRow{
			Look: web.AgentLook(a), VantageState: a, City: sentence.City(r.catalog, a.Region), Enrolled: enrolled[key],
			CredentialEnds: credentials[key], Behind: a.Revision != "" && a.Revision != r.catalog.Revision, Spool: "on disk",
		}
		if h := hosts[key]; h != nil {
			row.Addresses = strings.Join(h.Addresses, ", ")
		}
		if ends := row.CredentialEnds; !ends.IsZero() {
			row.Left = validFor(ends, r.snapshot.At)
		}
		switch {
		case a.SpoolOff != "":
			row.Spool = "in memory only: " + shortened(a.SpoolOff)
		case a.LastBatch.IsZero():
			row.Spool = ""
		}
		row.explainSilence(r.snapshot.At, states[key])
		rows = append(rows, row)
		t.rows = append(t.rows, []any{
			a.Name, a.Region, row.Addresses, row.Word, a.Version, a.Revision, row.Enrolled, row.CredentialEnds,
			a.Connected, a.LastBatch, a.Clock, a.Lag, a.Queued, a.Dropped, row.Spool, a.Abstains, joined(a.Advisories),
		})
	}
	certificates := table{name: "certificates", columns: []string{"certificate", "issued_at", "ends_at", "renewed"}}
	v := agentsView{Rows: rows, All: len(rows), Certificates: presentCertificates(s, r)}
	for _, c := range v.Certificates {
		certificates.rows = append(certificates.rows, []any{c.What, c.Issued, c.Ends, c.Renewal})
	}
	slices.SortStableFunc(v.Rows, func(a, b agentRow) int { return a.order() - b.order() })
	v.Rows = v.Rows[:min(len(v.Rows), agentsShown)]
	return view{title: "Agents", template: "agents", section: "/agents", data: v, tables: []table{t, certificates}}, nil
}

// presentCredentials returns when the credentials of agents end. It is known of the present alone.
func presentCredentials(s *console, r request) map[string]time.Time {
	if s.config.CredentialEnds == nil || !r.moment.IsZero() {
		return nil
	}
	return s.config.CredentialEnds()
}

// presentCertificates returns the certificates in use.
func presentCertificates(s *console, r request) (out []certificateRow) {
	if s.config.Certificates == nil || !r.moment.IsZero() {
		return nil
	}
	for _, c := range s.config.Certificates(r.snapshot.At) {
		out = append(out, certificateRow{c, validFor(c.Ends, r.snapshot.At), c.EndsSoon(r.snapshot.At)})
	}
	return out
}

// validFor writes how long something that ends is valid.
func validFor(ends, now time.Time) string {
	if left := ends.Sub(now); left > 0 {
		return "in " + age(left)
	}
	return "has ended"
}

// enrolledSince returns since when agents belong to the mesh, by the keys of their hosts, in wall time.
func enrolledSince(s *console, r request) map[string]time.Time {
	out := map[string]time.Time{}
	if s.config.Records == nil {
		return out
	}
	agents, err := s.config.Records.Agents(r.Context())
	if err != nil {
		s.config.Logger.Debug().Err(err).Msg("enrolment unknown")
	}
	for _, a := range agents {
		key := mesh.Key(a.Name)
		if h := r.catalog.HostByID(a.HostID); a.HostID != "" && h != nil {
			key = h.Key()
		}
		out[key] = a.Enrolled.Add(-r.snapshot.Offset)
	}
	return out
}

// connected reports whether batches of the agent arrive.
func connected(a mesh.VantageState) bool { return !a.Silent && !a.LastBatch.IsZero() }

func connectedAgents(s *mesh.Snapshot) (n int) {
	for _, a := range s.Vantages {
		if connected(a) {
			n++
		}
	}
	return n
}
