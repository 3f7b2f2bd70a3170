package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/incident"
	nouns "github.com/probemesh/probemesh/pkg/mesh"
)

// TestIncidentsThatPeopleTell replays what happened to a mail server in 2020, 2021 and 2025, with real outages and the
// waiting shortened: once by commands and once, beside it, by the API. An operator writes what operators wrote then.
// Every incident is one of its own host, since a host that fails again within ten minutes continues its incident, and
// the rule does not take outages of one moment for one cut: both operators break things at the same time.
func TestIncidentsThatPeopleTell(t *testing.T) {
	t.Parallel()
	roles := ordinaryRoles()
	roles.services["NC023"] = []string{"smtp", "imap"}
	roles.services["NC040"], roles.services["NC028"] = []string{"smtp"}, []string{"smtp"}
	disk := func(t testing.TB) string { return t.TempDir() }
	m := startMeshWith(t, 5*time.Second, "cut_within: 0s, cut_hold: 0s", disk, roles)
	token := m.coordinator.run(m.programs.coordinator, "token", "add", "story", "--scope", "write", "--data", m.data)
	t.Run("both", func(t *testing.T) {
		for _, way := range []struct {
			name   string
			writer writer
			// The hosts of the flood of viruses, of the added disk, and of the delay.
			flood, disk, delay string
		}{
			{"commands", commandWriter{t, m}, "NC036", "NC040", "NC033"},
			{"api", apiWriter{t, m, token}, "NC023", "NC028", "NC035"},
		} {
			t.Run(way.name, func(t *testing.T) {
				t.Parallel()
				s := &operator{t: t, mesh: m, writer: way.writer, token: token}
				late := s.beginDelay(way.delay)
				flood := s.beginFlood(way.flood)
				disk := s.beginDisk(way.disk)
				s.endFlood(way.flood, flood)
				s.endDelay(way.delay, late)
				s.endDisk(way.disk, disk)
			})
		}
	})
}

// are returns an error unless the hosts and checks have the state.
func (m *mesh) are(state string, names ...string) error {
	now, err := m.current()
	for _, name := range names {
		if err == nil && now[name] != state {
			return fmt.Errorf("%s is %q", name, now[name])
		}
	}
	return err
}

// writer writes what an operator writes about an incident. Keys of options are those of the API.
type writer interface {
	open(host, title, text string, options map[string]string) (id string)
	write(action, id, text string, options map[string]string)
	edit(id, entry, text string)
}

// commandWriter writes by the coordinator's commands.
type commandWriter struct {
	t *testing.T
	m *mesh
}

func (w commandWriter) run(args []string, options map[string]string) string {
	w.t.Helper()
	for key, value := range options {
		args = append(args, "--"+strings.ReplaceAll(key, "_", "-"), value)
	}
	return w.m.coordinator.run(w.m.programs.coordinator, append(args, "--data", w.m.data)...)
}

func (w commandWriter) open(host, title, text string, options map[string]string) string {
	return w.run([]string{"incident", "open", "--host", host, "--title", title, "--text", text}, options)
}

func (w commandWriter) write(action, id, text string, options map[string]string) {
	if out := w.run([]string{"incident", action, id, "--text", text}, options); out != "" {
		w.t.Errorf("incident %s prints %q", action, out)
	}
}

func (w commandWriter) edit(id, entry, text string) {
	w.run([]string{"incident", "edit", id, "--update", entry, "--text", text}, nil)
}

// apiWriter writes by /api/v1 with a token.
type apiWriter struct {
	t     *testing.T
	m     *mesh
	token string
}

func (w apiWriter) send(method, path string, body map[string]any) editorial.Incident {
	w.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.m.asOperator(w.t, method, path, w.token, data)
}

func (w apiWriter) open(host, title, text string, options map[string]string) string {
	body := map[string]any{"hosts": []string{host}, "title": title, "text": text}
	for key, value := range options {
		body[key] = value
		if key == "tag" || key == "check" {
			delete(body, key)
			body[key+"s"] = []string{value}
		}
	}
	return w.send(http.MethodPost, "", body).ID
}

func (w apiWriter) write(action, id, text string, options map[string]string) {
	body := map[string]any{"text": text}
	for key, value := range options {
		body[key] = value
	}
	if action == "update" {
		action = "updates"
	}
	w.send(http.MethodPost, "/"+id+"/"+action, body)
}

func (w apiWriter) edit(id, entry, text string) {
	w.send(http.MethodPatch, "/"+id, map[string]any{"entry": entry, "text": text})
}

// asOperator sends a request about incidents to /api/v1 and returns the incident that it answers with.
func (m *mesh) asOperator(t *testing.T, method, path, token string, body []byte) (i editorial.Incident) {
	t.Helper()
	url := "http://" + m.coordinator.address + ":8080/api/v1/incidents" + path
	req, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := m.web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", method, path, res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(&i); err != nil {
		t.Fatal(err)
	}
	return i
}

// operator is somebody who writes by command or by API.
type operator struct {
	t *testing.T
	*mesh
	writer
	token string
}

// await waits for states of hosts and checks. A verdict takes less than five seconds; the machine is shared.
func (s *operator) await(state string, names ...string) {
	s.t.Helper()
	eventually(s.t, time.Minute, strings.Join(names, ", ")+" "+state, func() error { return s.are(state, names...) })
}

// awaitOnPage waits until a page of the status site has a text.
func (s *operator) awaitOnPage(path, text string) {
	s.t.Helper()
	eventually(s.t, time.Minute, path+" has "+text, func() error {
		page, err := s.get(path)
		if err == nil && !bytes.Contains(page, []byte(text)) {
			err = fmt.Errorf("it lacks %q", text)
		}
		return err
	})
}

// 2020-09-21: sending mail was shut to clear a flood of viruses; reading mail stayed up. The first post came while it
// was shut, the all-clear some minutes after it worked again.
func (s *operator) beginFlood(host string) (id string) {
	s.killService(host, "smtp")
	s.await("down", host+" Sending mail")
	s.await("partial_outage", host)
	return s.open(host, "Sending mail is shut", "We clear a flood of **viruses** from five accounts. Reading mail works.",
		map[string]string{"check": "Sending mail", "tag": "spam", "category": "mail"})
}

func (s *operator) endFlood(host, id string) {
	s.startService(host, "smtp")
	s.await("operational", host)
	eventually(s.t, time.Minute, "it is proposed to resolve what a person took over", func() error {
		got := s.incident(id)
		if got.State != incident.Investigating {
			s.t.Fatalf("what a person took over is resolved by a person: %+v", got)
		}
		if got.Measured != "over" || !strings.HasPrefix(got.Proposal, "resolve: everything has worked since") {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	s.writer.write("resolve", id, "The queues are clean.", nil)
	s.writer.write("postmortem", id, "Five accounts of three domains were hijacked.", nil)
	s.wantShown(id, host, []string{"Sending mail"}, "Sending mail stopped at", "of 7 regions", "We clear a flood of",
		"Sending mail works again after", "The queues are clean.", "Five accounts of three domains")
	if down := s.windows(host, "Reading mail"); len(down) > 0 {
		s.t.Errorf("reading mail was measured as failing: %v", down)
	}
}

// 2021-09-02: the mail server was down to add a disk, which was announced after it had begun. The mesh had published
// it.
func (s *operator) beginDisk(host string) (id string) {
	KillHost(host).do(s.mesh)
	s.await("major_outage", host)
	s.awaitOnPage("/hosts/"+host, "/incidents/") // the mesh announces the outage before anybody does
	return s.open(host, "Emergency maintenance", "We add a disk.", map[string]string{"impact": "critical"})
}

func (s *operator) endDisk(host, id string) {
	reach := func(p *path) { p.Cut = false } // of this host alone: the other operator's may still be cut off
	s.wan.change(isNamed(host), anywhere, reach)
	s.wan.change(anywhere, isNamed(host), reach)
	s.startService(host, "smtp")
	s.startAgent(host)
	s.await("operational", host)
	s.writer.write("resolve", id, "The server is back online.", nil)
	opening := ""
	for _, u := range s.incident(id).Updates {
		if u.By == "people" && opening == "" {
			opening = u.ID
		}
	}
	s.edit(id, opening, "We add a *second* disk.")
	s.writer.write("postmortem", id, "Growth was not planned for.", nil)
	s.wantShown(
		id,
		host,
		[]string{"ping", "Sending mail"},
		" stopped answering at",
		"We add a ",
		" again after",
		"The server is back online.",
		"Growth was not planned for.",
	)
	for _, u := range s.incident(id).Updates {
		if u.ID == opening && (len(u.Before) != 1 || u.Before[0].Text != "We add a disk.") {
			s.t.Errorf("the text before the correction is lost: %+v", u)
		}
	}
}

// 2025-06-11: pings were answered, and mail was late. A promised time passed without an update.
func (s *operator) beginDelay(host string) (id string) {
	id = s.open(host, "Incoming mail is late", "Messages arrive late and twice.",
		map[string]string{"impact": "minor", "next_update": "2h"})
	s.writer.write("update", id, "We are locked out.", map[string]string{"status": "identified", "next_update": "3s"})
	return id
}

func (s *operator) endDelay(host, id string) {
	eventually(s.t, time.Minute, "operators are reminded of the promise", func() error {
		status := s.coordinator.run(s.programs.coordinator, "status", "--data", s.data)
		if !strings.Contains(status, id) || !strings.Contains(status, "the next update is overdue") {
			return fmt.Errorf("status says %s", status)
		}
		return nil
	})
	s.awaitOnPage("/incidents/"+id, "The next update was promised by")
	s.writer.write("update", id, "Mail arrives again.", map[string]string{"status": "monitoring"})
	s.writer.write("resolve", id, "All mail has arrived. Every mail client gets a credit.", nil)
	s.wantShown(id, host, nil, "arrive late and twice", "We are locked out.", "Mail arrives again.",
		"All mail has arrived.")
	s.awaitOnPage("/incidents/"+id, "No outage was measured.")
}

// incident returns an incident as /api/v1 has it.
func (s *operator) incident(id string) editorial.Incident {
	s.t.Helper()
	return s.asOperator(s.t, http.MethodGet, "/"+id, s.token, nil)
}

// windows are the times during which the check failed, from the published transitions.
func (s *operator) windows(host, check string) (out []editorial.Window) {
	s.t.Helper()
	all, err := s.control.Transitions(context.Background(), host, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	var began time.Time // in mesh time, of which whole seconds are counted
	for _, tr := range all {
		switch {
		case tr.Check != check:
		case tr.Verdict == nouns.Down:
			began = tr.Began
			out = append(out, editorial.Window{Host: host, Check: check, Verdict: "down", From: tr.Began.Add(-tr.Offset)})
		case tr.Verdict == nouns.Up && len(out) > 0 && out[len(out)-1].To.IsZero():
			last := &out[len(out)-1]
			last.To = tr.Began.Add(-tr.Offset)
			last.Seconds = incident.WholeSeconds(began, tr.Began).Seconds()
		}
	}
	return out
}

// wantShown checks that page, feeds, both APIs and command show an incident with these texts in this order, and with
// the windows that were measured of the checks.
func (s *operator) wantShown(id, host string, checks []string, texts ...string) {
	s.t.Helper()
	got := s.incident(id)
	var said []string
	for _, u := range got.Updates {
		said = append(said, u.Text)
	}
	inOrder(s.t, "/api/v1", strings.Join(said, "\n"), texts)
	var measured []editorial.Window
	for _, check := range checks {
		measured = append(measured, s.windows(host, check)...)
	}
	if len(measured) != len(checks) || len(got.Windows) != len(measured) {
		s.t.Fatalf("%s has %+v, measured was %+v, want one outage of each of %q", id, got.Windows, measured, checks)
	}
	longest, every := time.Duration(0), []string{}
	for _, w := range measured {
		lasted := time.Duration(w.Seconds) * time.Second
		longest, every = max(longest, lasted), append(every, incident.FormatDuration(lasted))
		if !slices.ContainsFunc(got.Windows, func(o editorial.Window) bool {
			return o.Check == w.Check && o.From.Equal(w.From) && o.To.Equal(w.To) && o.Seconds == w.Seconds
		}) {
			s.t.Errorf("%s: the incident has the windows %+v, measured was %+v", id, got.Windows, w)
		}
	}
	if len(measured) > 0 { // checks that recover together are one sentence, with the longest outage
		texts = append(slices.Clone(texts), " again after "+incident.FormatDuration(longest))
	}
	reads := func(name, text string, wants []string) {
		s.t.Helper()
		text = html.UnescapeString(text)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				s.t.Errorf("%s of %s lacks %q:\n%s", name, id, want, text)
			}
		}
	}
	shown := s.coordinator.run(s.programs.coordinator, "incident", "show", id, "--data", s.data)
	reads("incident show", shown, append(slices.Clone(texts), every...))
	for _, path := range []string{
		"/incidents/" + id, "/api/v2/incidents/" + id + ".json", "/api/v2/incidents.json", "/hosts/" + host + "/feed.atom",
		"/hosts/" + host + "/feed.rss", "/feed.json", "/feed.atom",
	} {
		body, err := s.get(path)
		if err != nil {
			s.t.Fatal(err)
		}
		reads(path, string(body), texts)
	}
	page, _ := s.get("/incidents/" + id)
	reads("the page", string(page), every)
}

// inOrder checks that a text has parts in an order.
func inOrder(t *testing.T, name, text string, parts []string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Errorf("%s lacks %q after what comes before it:\n%s", name, part, text)
			return
		}
		rest = after
	}
}
