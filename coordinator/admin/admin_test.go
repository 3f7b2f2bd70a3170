package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// backend is a coordinator that records what was applied.
type backend struct {
	catalog *catalog.Catalog
	applied *catalog.Catalog
	failure error // of Invite
}

func (b *backend) Current() (*catalog.Catalog, *mesh.Snapshot) {
	return b.catalog, &mesh.Snapshot{Hosts: []mesh.HostState{{Name: "NC036",
		Checks: []mesh.CheckState{{Votes: []mesh.RegionVote{{Vote: mesh.OK}}}}}}}
}

func (b *backend) At(_ context.Context, at time.Time) (*catalog.Catalog, *mesh.Snapshot, error) {
	if at.Year() > 2026 {
		return nil, nil, errkind.New(errkind.Invalid, "that is in the future")
	}
	return b.catalog, &mesh.Snapshot{At: at}, nil
}

func (b *backend) LastChange(_ context.Context, host string, at time.Time) (ledger.Change, bool, error) {
	return ledger.Change{At: at, Source: "of " + host}, host == "nc036", nil
}

func (b *backend) DecidedAt(_ context.Context, sequence uint64) ([]mesh.Transition, error) {
	return []mesh.Transition{
		{Host: "NC041", Check: "ping", Sequence: sequence}, {Host: "NC036", Check: "Sending mail", Sequence: sequence},
	}, nil
}

func (b *backend) Trace(_ context.Context, t mesh.Transition) ([]judge.Event, error) {
	return []judge.Event{{Text: fmt.Sprint(t.Host, " ", t.Check, " ", t.Sequence)}}, nil
}

func (b *backend) Transitions(_ context.Context, host string, _ time.Time, limit int) ([]mesh.Transition, error) {
	return []mesh.Transition{{Host: host, Sequence: uint64(limit)}}, nil
}

func (b *backend) Uptime(_ context.Context, c *catalog.Catalog, q sla.Query) (sla.Report, error) {
	r := sla.Report{From: q.From, To: q.To, Method: c.SLA.Or()}
	for _, name := range []string{"NC036", "NC041"} {
		if q.Include(mesh.Key(name)) {
			r.Rows = append(r.Rows, r.Method.Rate(sla.Row{Host: name, Seconds: sla.Times{Up: 999, Down: 1}}))
		}
	}
	return r, nil
}

func (b *backend) ApplyFile(_ context.Context, file string, confirm bool) ([]catalog.Change, bool, error) {
	return nil, file == "followed.yaml" && confirm, nil
}

func (b *backend) Apply(_ context.Context, c *catalog.Catalog, _ string, prune bool) ([]catalog.Change, error) {
	if !prune {
		return nil, errkind.New(errkind.Conflict, "add --prune")
	}
	b.applied = c
	return []catalog.Change{{What: "changed"}}, nil
}

func (b *backend) Invite(_ context.Context, host string) (string, error) {
	if b.failure != nil {
		return "", fmt.Errorf("invite %s: %w", host, b.failure)
	}
	return "token for " + host, nil
}

func (b *backend) Revoke(_ context.Context, host string) (bool, error) { return host == "NC041", nil }

func (b *backend) RotateGossipKey(context.Context) (time.Time, error) { return time.Unix(7, 0), nil }

func (b *backend) Problems() []string { return []string{"a problem"} }

func (b *backend) BackupParts(context.Context) ([]string, error) {
	return []string{"streams/OBS", "broken"}, nil
}

func (b *backend) BackupPart(_ context.Context, name string, w io.Writer) error {
	if name == "streams/OBS" {
		_, err := io.WriteString(w, "observations")
		return err
	}
	io.WriteString(w, strings.Repeat("half of it ", 1000))
	return errors.New("the disk broke")
}

// A part that fails halfway is an error, although its status was sent as 200.
func TestABackupPartIsCompleteOrAnError(t *testing.T) {
	client := admin.NewClient(serve(t, admin.NewHandler(admin.Backend{Backup: &backend{}})))
	parts, err := client.BackupParts(t.Context())
	if err != nil || len(parts) != 2 {
		t.Fatal(parts, err)
	}
	var out strings.Builder
	if err := client.BackupPart(t.Context(), parts[0], &out); err != nil || out.String() != "observations" {
		t.Error(out.String(), err)
	}
	if err := client.BackupPart(t.Context(), parts[1], &out); err == nil ||
		!strings.Contains(err.Error(), "the disk broke") {
		t.Error("half a part is accepted:", err)
	}
}

// newHandler has b play every part of the coordinator.
func newHandler(b *backend) http.Handler {
	return admin.NewHandler(admin.Backend{
		Engine: b, Replayer: b, Catalogs: b, History: b, Problems: b.Problems, Enroller: b, Backup: b,
	})
}

// serve answers on a socket until the test ends, and returns the socket's directory.
func serve(t *testing.T, handler http.Handler) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pm") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := admin.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return dir
}

func TestTheSocketIsPrivateAndHasOneCoordinator(t *testing.T) {
	_, err := admin.NewClient(t.TempDir()).State(t.Context(), time.Time{})
	if err == nil || !strings.Contains(err.Error(), "no coordinator runs on") {
		t.Error(err)
	}
	dir := serve(t, http.NotFoundHandler())
	if info, err := os.Stat(filepath.Join(dir, "admin.sock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error("other users can open the socket", info.Mode(), err)
	}
	if _, err := admin.Listen(dir); err == nil {
		t.Error("two coordinators on one directory")
	}
}

func TestStatesAndCatalogs(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 31, 7, 4, time.UTC)
	b := &backend{catalog: &catalog.Catalog{Rule: catalog.DefaultRule()}}
	catalog.Seal(b.catalog)
	client := admin.NewClient(serve(t, newHandler(b)))
	state, err := client.State(t.Context(), time.Time{})
	if err != nil || state.Snapshot.Hosts[0].Checks[0].Votes[0].Vote != mesh.OK || state.Problems[0] != "a problem" ||
		state.Catalog.Revision != b.catalog.Revision {
		t.Error(state, err)
	}
	if state, err := client.State(t.Context(), at); err != nil || !state.Snapshot.At.Equal(at) {
		t.Error(state, err)
	}
	if _, err := client.State(t.Context(), at.AddDate(1, 0, 0)); err == nil || err.Error() != "that is in the future" {
		t.Error(err)
	}
	change, err := client.LastChange(t.Context(), "NC036", at)
	if err != nil || change.Source != "of nc036" || !change.At.Equal(at) {
		t.Error(change, err)
	}
	fell := mesh.Transition{Host: "nc036", Check: "Sending mail", Sequence: 280}
	if events, err := admin.Trace(t.Context(), client, fell); err != nil || len(events) != 1 ||
		events[0].Text != "NC036 Sending mail 280" {
		t.Errorf("traced %v (%v)", events, err)
	}
	if _, err := admin.Trace(t.Context(), client, mesh.Transition{Host: "NC036", Check: "ping"}); err == nil {
		t.Error("a change that never was is traced")
	}
	if change, err := client.LastChange(t.Context(), "NC041", at); err != nil || change != nil {
		t.Error(change, err)
	}
	ts, err := client.Transitions(t.Context(), "NC036", 7)
	if err != nil || ts[0].Host != "nc036" || ts[0].Sequence != 7 {
		t.Error(ts, err)
	}
	if _, err := client.Apply(t.Context(), b.catalog, "x", false); err == nil || err.Error() != "add --prune" {
		t.Error(err)
	}
	if f, err := client.ApplyFile(t.Context(), "followed.yaml", true); err != nil || !f.Follows {
		t.Errorf("a followed file: %+v, %v", f, err)
	}
	changes, err := client.Apply(t.Context(), b.catalog, "x", true)
	if err != nil || changes[0].What != "changed" || b.applied.Revision != b.catalog.Revision {
		t.Error(changes, err)
	}
}

func TestUptimes(t *testing.T) {
	b := &backend{catalog: &catalog.Catalog{}}
	client := admin.NewClient(serve(t, newHandler(b)))
	from := time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
	all, err := client.Uptime(t.Context(), "", from, from.AddDate(0, 1, 0))
	if err != nil || len(all.Rows) != 2 || !all.From.Equal(from) || !all.To.Equal(from.AddDate(0, 1, 0)) {
		t.Fatal(all, err)
	}
	one, err := client.Uptime(t.Context(), "NC041", from, from)
	if err != nil || len(one.Rows) != 1 || one.Rows[0].Host != "NC041" || one.Rows[0].Uptime.String() != "99.900 %" {
		t.Error(one, err)
	}
	if _, err := client.Uptime(t.Context(), "NC099", from, from); err == nil || !strings.Contains(err.Error(), `"NC099"`) {
		t.Error(err)
	}
}

func TestMembership(t *testing.T) {
	b := &backend{}
	client := admin.NewClient(serve(t, newHandler(b)))
	if token, err := client.Invite(t.Context(), "NC036"); token != "token for NC036" || err != nil {
		t.Error(token, err)
	}
	if already, err := client.Revoke(t.Context(), "NC036"); already || err != nil {
		t.Error(already, err)
	}
	if already, err := client.Revoke(t.Context(), "NC041"); !already || err != nil {
		t.Error(already, err)
	}
	if done, err := client.RotateGossipKey(t.Context()); !done.Equal(time.Unix(7, 0)) || err != nil {
		t.Error(done, err)
	}
}

// Every failure has the status of its kind, and the client returns its text unchanged.
func TestAFailureHasTheStatusOfItsKind(t *testing.T) {
	b := &backend{}
	handler := newHandler(b)
	var status int
	client := admin.NewClient(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, r)
		status = recorder.Code
		w.WriteHeader(status)
		_, _ = recorder.Body.WriteTo(w)
	})))
	for _, test := range []struct {
		failure error
		status  int
	}{
		{errkind.New(errkind.Invalid, "write it another way"), http.StatusBadRequest},
		{errkind.New(errkind.NotFound, "no such host"), http.StatusNotFound},
		{errkind.New(errkind.Conflict, "a rotation is in progress"), http.StatusConflict},
		{errkind.New(errkind.Unavailable, "NATS is not connected"), http.StatusServiceUnavailable},
		{context.DeadlineExceeded, http.StatusServiceUnavailable},
		{errors.New("the disk is broken"), http.StatusInternalServerError},
	} {
		b.failure = test.failure
		_, err := client.Invite(t.Context(), "NC036")
		if want := "invite NC036: " + test.failure.Error(); err == nil || err.Error() != want || status != test.status {
			t.Errorf("%q is answered with %d: %v", want, status, err)
		}
	}
}

func TestABadRequestIsAnsweredAsSuch(t *testing.T) {
	b := &backend{}
	handler := newHandler(b)
	for _, request := range []*http.Request{
		httptest.NewRequest(http.MethodGet, "/state?at=yesterday", nil),
		httptest.NewRequest(http.MethodGet, "/change?host=NC036&at=", nil),
		httptest.NewRequest(http.MethodGet, "/transitions?limit=many", nil),
		httptest.NewRequest(http.MethodGet, "/transitions?limit=0", nil),
		httptest.NewRequest(http.MethodPost, "/apply", strings.NewReader("no catalog")),
	} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusBadRequest || recorder.Body.Len() == 0 {
			t.Errorf("%s: %d %s", request.URL, recorder.Code, recorder.Body)
		}
	}
}
