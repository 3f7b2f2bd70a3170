package notify

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Alert is something to notify people of: an incident, or an advisory about the mesh itself. Times are wall time.
type Alert struct {
	ID       string
	Round    int    // how often it had ended and come back before
	Advisory string // kind of catalog.Advisories; empty for an incident
	Severity catalog.Severity
	Opened   time.Time // when it was published, or came back
	Began    time.Time // when it began as measured; zero where only Opened is known
	Changed  time.Time // when something failed last as part of it
	// NotBefore is when the first message may be sent, zero: at once. It may turn out until then that there is none.
	NotBefore time.Time
	Over      time.Time // zero while it lasts
	Hosts     []Host    // that are part of it
	Text      Text
	Public    bool   // the public can read about the incident
	Covered   bool   // maintenance covers all of what fails now
	Flaps     int    // how often it failed, if it comes and goes; zero: it does not
	Of        string // the incident, where that has another id than the alert
}

// Incident is the id of the incident that the alert is about.
func (m Alert) Incident() string { return cmp.Or(m.Of, m.ID) }

// Host is a host that is part of an alert, as routes match it.
type Host struct {
	Name, ID, Group, Region string
	Labels                  map[string]string
	Checks, Kinds           []string // that failed
	Severity                catalog.Severity
	Failed                  time.Time // when its failure was published; zero where that is not known
	// Covered is set if maintenance covers all of it that fails, or covered the host when that worked again.
	Covered bool
}

// severities are what an incident's impact is for routes.
var severities = map[incident.Impact]catalog.Severity{
	incident.Minor: catalog.Minor, incident.Major: catalog.Major, incident.Critical: catalog.Critical,
}

// OfIncident returns an incident as an alert.
func OfIncident(c *catalog.Catalog, s *mesh.Snapshot, i *incident.Incident, now time.Time) Alert {
	m := Alert{
		ID: i.ID, Severity: severities[i.Impact], Opened: i.Wall(i.Opened), Text: incidentText(c, s, i),
	}
	if m.Severity == "" {
		m.Severity = catalog.Minor
	}
	if !i.Open() {
		m.Over = i.Wall(i.Resolved)
	}
	m.Round, m.Covered, m.Public = i.Reopened, isCovered(s, i), !i.Internal && !i.Public.IsZero()
	for _, u := range i.Updates {
		if !u.WorkedFrom.IsZero() {
			m.Opened = i.Wall(u.At)
		}
		for _, part := range u.Parts() {
			if at := i.Wall(part.At); slices.Contains(failures, part.Verdict) && at.After(m.Changed) {
				m.Changed = at
			}
		}
	}
	if i.Reopened >= flapsAfter {
		m.flap(i, now)
	}
	if m.Round == 0 && !i.Began.IsZero() {
		m.Began = i.Wall(i.Began)
	}
	for _, h := range i.Hosts {
		m.Hosts = append(m.Hosts, partOf(c, s, i, h))
	}
	return m
}

// flapsAfter is how often an incident reopens until what comes and goes is one alert.
const flapsAfter = 3

// flap makes one alert of what comes and goes: it is over once everything has worked for some time.
func (m *Alert) flap(i *incident.Incident, now time.Time) {
	m.Round, m.Flaps = flapsAfter, i.Reopened+1
	reopenings := 0
	for _, u := range i.Updates {
		if u.WorkedFrom.IsZero() {
			continue
		}
		if reopenings++; reopenings == flapsAfter {
			m.Opened = i.Wall(u.At)
		}
	}
	if !i.Open() && now.Before(m.Over.Add(incident.ReopenWithin)) {
		m.Over = time.Time{}
	}
	m.Text.What = fmt.Sprintf("It comes and goes: it has failed %d times since %s. ", m.Flaps,
		i.Wall(i.Opened).UTC().Format("15:04 UTC")) + m.Text.What
}

// isCovered reports whether maintenance covers every check that fails now.
func isCovered(s *mesh.Snapshot, i *incident.Incident) bool { return areCovered(s, i.Failing()) }

func areCovered(s *mesh.Snapshot, failing []incident.Failing) bool {
	return s != nil && len(failing) > 0 && !slices.ContainsFunc(failing, func(f incident.Failing) bool {
		return !slices.ContainsFunc(s.Hosts, func(h mesh.HostState) bool {
			return mesh.Key(h.Name) == mesh.Key(f.Host) && slices.ContainsFunc(h.Checks, func(c mesh.CheckState) bool {
				return c.Name == f.Check && c.Maintenance != ""
			})
		})
	})
}

// partOf returns a host's part in an incident.
func partOf(c *catalog.Catalog, s *mesh.Snapshot, i *incident.Incident, h incident.Host) Host {
	out := hostOf(c, h)
	failing := slices.DeleteFunc(i.Failing(), func(f incident.Failing) bool { return f.Host != h.Name })
	out.Covered = areCovered(s, failing)
	for _, u := range i.Updates {
		for _, part := range u.Parts() {
			of := mesh.Key(part.Host) == mesh.Key(h.Name)
			if part.HostID != "" && h.ID != "" {
				of = part.HostID == h.ID
			}
			switch {
			case of && part.Verdict == mesh.Up && len(failing) == 0:
				out.Covered = part.Maintenance != ""
			case of && slices.Contains(failures, part.Verdict) && out.Failed.IsZero():
				out.Failed = i.Wall(part.At)
			}
		}
	}
	return out
}

func hostOf(c *catalog.Catalog, h incident.Host) Host {
	out := Host{Name: h.Name, ID: h.ID, Severity: severityOf(h)}
	config := c.Host(mesh.Key(h.Name))
	if config == nil {
		return out
	}
	out.ID, out.Group, out.Region, out.Labels = config.Identity(), config.Group, config.Region, config.Labels
	for _, w := range h.Windows {
		if !slices.Contains(out.Checks, w.Check) {
			out.Checks = append(out.Checks, w.Check)
			if check := config.Check(w.Check); check != nil && !slices.Contains(out.Kinds, check.Kind) {
				out.Kinds = append(out.Kinds, check.Kind)
			}
		}
	}
	return out
}

// advisoryKinds are the kinds of warnings by the beginnings of their subjects.
var advisoryKinds = []struct{ subject, kind string }{
	{"silent", "silent-agent"}, {"isolated", "isolated-vantage"}, {"regions", "regions-silent"}, {"disk", "disk"},
	{"store", "disk"}, {"observations", "disk"}, {"expiry", "certificates"}, {"certificate", "certificates"},
	{"lag", "lag"}, {"overdue", "overdue"}, {"next-update", "overdue"}, {"pending", "pending"},
	{"catalog", "catalog"}, {"refusal", "catalog"}, {"secrets", "catalog"}, {"channel", "channel"},
	{"lost", "damage"}, {"ledger-size", "disk"}, {"renames", "catalog"}, {"pause", "coordinator"},
	{"heartbeat", "coordinator"},
}

// AdvisoryKind returns the kind of a warning by its subject.
func AdvisoryKind(subject string) string {
	for _, k := range advisoryKinds {
		if strings.HasPrefix(subject, k.subject) {
			return k.kind
		}
	}
	return "other"
}

// advisoryID is the id of the alert of a warning: the subject in letters that need no quoting in commands and links.
// Where that spelling loses something, a digest of the subject follows, so that no two subjects have one id.
func advisoryID(subject string) string {
	id := plainID(subject)
	if id == advisoryPrefix+subject {
		return id
	}
	sum := sha256.Sum256([]byte(subject))
	return id + digestMark + hex.EncodeToString(sum[:8])
}

const (
	advisoryPrefix = "advisory-"
	digestMark     = "." // is in no plain id
)

// plainID is the id of a warning's alert without the digest. Different subjects may share it.
func plainID(subject string) string {
	return advisoryPrefix + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(subject))
}

// subjectOf returns a warning's subject as far as the id of its alert has it.
func subjectOf(id string) string {
	subject, _, _ := strings.Cut(strings.TrimPrefix(id, advisoryPrefix), digestMark)
	return subject
}

// matches reports whether a route takes the alert.
func matches(r catalog.Route, m Alert) bool {
	if m.Advisory != "" || len(r.Match.Advisories) > 0 {
		return m.Advisory != "" && slices.Contains(r.Match.Advisories, m.Advisory)
	}
	return m.Severity.AtLeast(r.Match.Severity) && (matchesEveryHost(r.Match) ||
		slices.ContainsFunc(m.Hosts, func(h Host) bool { return matchesHost(r.Match, h) }))
}

func matchesEveryHost(m catalog.Match) bool {
	return len(m.Hosts)+len(m.Groups)+len(m.Regions)+len(m.Labels)+len(m.Kinds) == 0
}

func matchesHost(m catalog.Match, h Host) bool {
	among := func(words []string, word string) bool {
		return len(words) == 0 ||
			slices.ContainsFunc(words, func(w string) bool { return mesh.Key(w) == mesh.Key(word) })
	}
	for key, value := range m.Labels {
		if h.Labels[key] != value {
			return false
		}
	}
	kind := len(m.Kinds) == 0 || slices.ContainsFunc(h.Kinds, func(k string) bool { return slices.Contains(m.Kinds, k) })
	return kind && among(m.Hosts, h.Name) && among(m.Groups, h.Group) && among(m.Regions, h.Region)
}
