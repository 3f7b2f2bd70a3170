//go:build unix

package view_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/maintenance"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// The mesh of the benchmark: a thousand hosts, one of which fails for five minutes every twenty minutes, for a year,
// so that each fails every other week.
const (
	manyHosts, manyFailures = 1000, 26_000
	failsEvery, failsFor    = 20 * time.Minute, 5 * time.Minute
)

var (
	manyBegin = time.Unix(1_800_000_000, 0).UTC()
	manyEnd   = manyBegin.Add(manyFailures * failsEvery)
)

// fillYear writes the rows of the year, by SQL: to append so many events takes many minutes.
func fillYear(b *testing.B, file string) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=synchronous(OFF)&_pragma=journal_mode(WAL)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	t := mesh.Transition{Host: "HOST", HostID: "HOST-id", Public: true, Check: "smtp", Verdict: mesh.Down, Was: mesh.Up,
		From: mesh.Operational, To: mesh.MajorOutage, Published: manyBegin, Began: manyBegin, Rule: "down",
		Sentence: "Sending mail is unavailable. Confirmed from 7 of 7 regions at 02:31 UTC."}
	for region := range 10 {
		vote := mesh.RegionVote{Region: fmt.Sprintf("region-%d", region), Vote: mesh.Bad, Since: manyBegin}
		vote.Edges = append(vote.Edges, mesh.EdgeState{Vantage: "NC033", Since: manyBegin, At: manyBegin},
			mesh.EdgeState{Vantage: "NC036", Since: manyBegin, At: manyBegin})
		t.Votes = append(t.Votes, vote)
	}
	i := incident.Incident{ID: "INCIDENT", State: incident.Resolved, Began: manyBegin, Opened: manyBegin,
		Hosts:   []incident.Host{{Name: "HOST", ID: "HOST-id", Worst: mesh.MajorOutage}},
		Updates: make([]incident.Update, 4)}
	for query, data := range map[string]any{
		`INSERT INTO transitions SELECT 2 * i, 'd-' || i, i, host, host || '-id', at,
			CAST(replace(?1, 'HOST', host) AS BLOB) FROM f
			UNION ALL SELECT 2 * i + 1, 'u-' || i, i, host, host || '-id', again,
			CAST(replace(?1, 'HOST', host) AS BLOB) FROM f`: t,
		`INSERT INTO standings SELECT 2 * i, host, 'smtp', host || '-c', 'down', at, ?1 * 0, at, again FROM f
			UNION ALL SELECT 2 * i + 1, host, 'smtp', host || '-c', 'up', again, 0, again, next FROM f`: nil,
		`INSERT INTO host_standings SELECT 2 * i, host, 'major outage', at + coalesce(?1, 0), at, again FROM f
			UNION ALL SELECT 2 * i + 1, host, 'operational', again, again, next FROM f`: nil,
		`INSERT INTO incidents SELECT 'incident-' || i, at, again, at, '',
			CAST(replace(?1, 'HOST', host) AS BLOB) FROM f`: i,
	} {
		insert(b, db, query, data)
	}
	fillRecords(b, db)
}

// fillRecords writes what people did during the year, and what they were notified of: an act and a message for each
// failure, a maintenance every three hours, a post every two, and every two weeks a catalog. Agents were enrolled four
// times.
func fillRecords(b *testing.B, db *sql.DB) {
	b.Helper()
	m := maintenance.Maintenance{
		ID: "MAINTENANCE", Targets: []maintenance.Target{{Host: "HOST"}},
		Changes: []maintenance.Change{{ID: "c", Action: maintenance.Plan, At: manyBegin}},
	}
	sent := ledger.NotifyEvent{
		ID: "message", Action: ledger.NotifySent, Alert: "incident", Channel: "mail", At: manyBegin, Mesh: manyBegin,
	}
	for query, data := range map[string]any{
		`INSERT INTO agents (public_key, host, host_id, sequence, at, superseded)
			SELECT 'key-' || i, host, host || '-id', i, at, i < 3000 FROM f WHERE i < 4000`: 0,
		`INSERT INTO audit SELECT i, 'event-' || i, at, 'token', 'post.publish', 'post-' || i, 'key-' || i, '' FROM f`: 0,
		`INSERT INTO maintenances SELECT 'maintenance-' || i, at, again,
			CAST(replace(?1, 'HOST', host) AS BLOB) FROM f WHERE i % 9 = 0`: m,
		`INSERT INTO posts SELECT 'post-' || i, at, 0, 0, ?1, 'network', '[]' FROM f WHERE i % 6 = 0`: []string{"news"},
		`INSERT INTO post_texts SELECT 'text-' || i, 'post-' || i, i, at, 0, 'Title',
			replace(hex(zeroblob(1000)), '00', 'text ')
			FROM f WHERE i % 6 = 0`: 0,
		`INSERT INTO notified SELECT 'sent', 'message-' || i, 'incident-' || i, at, CAST(?1 AS BLOB) FROM f`:          sent,
		`INSERT INTO catalogs SELECT 2 + i, c.revision, f.at, c.data FROM f, catalogs c WHERE i > 0 AND i % 1000 = 0`: 0,
	} {
		insert(b, db, query, data)
	}
}

// insert runs an INSERT that selects from f, which has the failures. Its parameter is the data as JSON.
func insert(b *testing.B, db *sql.DB, query string, data any) {
	b.Helper()
	every, long := failsEvery.Nanoseconds(), failsFor.Nanoseconds()
	const numbers = `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?2 - 1), f AS (SELECT i,
		'host-' || (i % ?3) AS host, ?4 + i * ?5 AS at, ?4 + i * ?5 + ?6 AS again,
		CASE WHEN i + ?3 < ?2 THEN ?4 + (i + ?3) * ?5 ELSE 9223372036854775807 END AS next FROM n) `
	text, err := json.Marshal(data)
	if err != nil {
		b.Fatal(err)
	}
	if data == nil {
		text = []byte("0")
	}
	begin := manyBegin.UnixNano()
	if _, err := db.Exec(numbers+query, string(text), manyFailures, manyHosts, begin, every, long); err != nil {
		b.Fatal(err)
	}
}

// manyCatalog returns a catalog of the hosts, and their keys.
func manyCatalog() (*catalog.Catalog, []string) {
	c, keys := &catalog.Catalog{Rule: catalog.DefaultRule(), Regions: []catalog.Region{{Name: "r"}}}, []string(nil)
	for i := range manyHosts {
		name := fmt.Sprintf("host-%d", i)
		keys = append(keys, name)
		c.Hosts = append(c.Hosts, catalog.Host{
			Name: name, Region: "r", Addresses: []string{"192.0.2.1"}, Checks: []catalog.Check{{Name: "smtp", Kind: "tcp"}},
		})
	}
	catalog.Seal(c)
	return c, keys
}

// BenchmarkQueriesOfALargeYear times the queries that pages and the API make of a year of a thousand hosts, and prints
// what each takes of the processor's time, which other programs do not change, the slowest first. Run it with
// -benchtime 10x -v. BenchmarkArchive has those of posts.
func BenchmarkQueriesOfALargeYear(b *testing.B) {
	file, log := filepath.Join(b.TempDir(), "view.db"), newLog()
	v, err := view.Open(b.Context(), file, log)
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	led, err := ledger.Open(b.Context(), log, v)
	if err != nil {
		b.Fatal(err)
	}
	c, keys := manyCatalog()
	if err := led.Append(b.Context(), ledger.CatalogEvent{Catalog: c, Source: "file", Mesh: manyBegin}); err != nil {
		b.Fatal(err)
	}
	fillYear(b, file)
	took := map[string]time.Duration{}
	queries := queriesOfYear(b.Context(), v, c, keys)
	maps.Copy(queries, queriesOfRecords(b.Context(), v))
	for name, query := range queries {
		b.Run(name, func(b *testing.B) {
			before := processorTime(b)
			for b.Loop() {
				if err := query(); err != nil {
					b.Fatal(err)
				}
			}
			took[name] = (processorTime(b) - before) / time.Duration(b.N)
		})
	}
	var names []string
	for name := range took {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Compare(took[y], took[x]) })
	for _, name := range names {
		b.Logf("%8.1f ms  %s", took[name].Seconds()*1000, name)
	}
}

// queriesOfYear are the queries, by what they are for.
func queriesOfYear(ctx context.Context, v *view.View, c *catalog.Catalog, keys []string) map[string]func() error {
	early := manyBegin.Add(time.Hour)
	public := &view.PublicIncidents{At: manyEnd, Hosts: keys}
	month, few := manyEnd.AddDate(0, -6, 0), keys[7:8]
	incidents := func(q view.IncidentQuery) func() error {
		return func() error {
			all, err := v.Incidents(ctx, q)
			if err == nil && len(all) == 0 {
				err = fmt.Errorf("no incident is found by %+v", q)
			}
			return err
		}
	}
	days := func(n int, host string) func() error {
		return func() error {
			_, err := v.Periods().Published(ctx, host, manyEnd.AddDate(0, 0, -n), manyEnd)
			return err
		}
	}
	return map[string]func() error{
		"transitions of a host":    func() error { _, err := v.Transitions(ctx, "host-7", time.Time{}, 100); return err },
		"last transitions":         func() error { _, err := v.Transitions(ctx, "", time.Time{}, 100); return err },
		"last public transitions":  func() error { _, err := v.PublicTransitions(ctx, keys, time.Time{}, 100); return err },
		"public ones of a host":    func() error { _, err := v.PublicTransitions(ctx, few, time.Time{}, 100); return err },
		"decided at a sequence":    func() error { _, err := view.DecidedAt(ctx, v, 9); return err },
		"standings now":            func() error { _, err := v.Standings(ctx, manyEnd); return err },
		"standings of half a year": func() error { _, err := v.Standings(ctx, month); return err },
		"judged":                   func() error { _, _, err := v.Judged(ctx); return err },
		"incidents of operators":   incidents(view.IncidentQuery{Limit: 50}),
		"incidents, page 100":      incidents(view.IncidentQuery{Limit: 50, Offset: 5000}),
		"incidents of two weeks": incidents(
			view.IncidentQuery{Since: manyEnd.AddDate(0, 0, -14), Limit: 50, Public: public},
		),
		"public incidents": incidents(view.IncidentQuery{Limit: 50, Public: public}),
		"public ones of a month": incidents(
			view.IncidentQuery{From: month, Until: month.AddDate(0, 1, 0), Limit: 500, Public: public},
		),
		"public incidents, page 10": incidents(view.IncidentQuery{Limit: 50, Offset: 500, Public: public}),
		"incident":                  func() error { _, err := v.Incident(ctx, "incident-777"); return err },
		"statuses":                  func() error { _, err := v.Periods().Statuses(ctx); return err },
		"uptime of 30 days":         days(30, ""),
		"uptime of 90 days":         days(90, ""),
		"uptime of a year":          days(365, ""),
		"uptime of a host's year":   days(365, "host-7"),
		"internal":                  func() error { _, err := v.Periods().Internal(ctx, manyBegin, manyEnd); return err },
		"pauses":                    func() error { _, err := v.Periods().Pauses(ctx, manyBegin, manyEnd); return err },
		"offset now":                func() error { _, _, err := v.Periods().OffsetAt(ctx, manyEnd); return err },
		"offset a year ago":         func() error { _, _, err := v.Periods().OffsetAt(ctx, early); return err },
		"catalog":                   func() error { _, err := v.Catalog(ctx); return err },
		"catalog of a revision":     func() error { _, err := v.CatalogOf(ctx, c.Revision); return err },
		"catalog of half a year":    func() error { _, err := v.CatalogAt(ctx, month); return err },
		"components":                func() error { _, err := v.Components(ctx); return err },
	}
}

// queriesOfRecords are those of what people did, of agents, and of what catalogs changed. The changes of catalogs are
// compared once, as after a start.
func queriesOfRecords(ctx context.Context, v *view.View) map[string]func() error {
	failed := manyBegin.Add(7 * failsEvery)
	parts := []incident.Update{{ID: "d-7", At: failed}, {ID: "u-7", At: failed.Add(failsFor)}}
	half := manyBegin.AddDate(0, 6, 0)
	return map[string]func() error{
		"roster":            func() error { _, err := v.Roster(ctx); return err },
		"agents":            func() error { _, err := view.Agents(ctx, v); return err },
		"agent":             func() error { _, err := v.Agent(ctx, "host-7"); return err },
		"agent by id":       func() error { _, err := view.AgentOf(ctx, v, "host-7-id", "host-7"); return err },
		"keys of agents":    func() error { _, err := v.AgentKeys(ctx); return err },
		"ended keys":        func() error { _, err := v.EndedKeys(ctx); return err },
		"audit log":         func() error { _, err := v.Audit().List(ctx, 0, view.AuditMax); return err },
		"audit log, early":  func() error { _, err := v.Audit().List(ctx, 5000, view.AuditMax); return err },
		"idempotency key":   func() error { _, err := v.Audit().ByKey(ctx, "key-7"); return err },
		"maintenance":       func() error { _, err := v.Maintenances().Get(ctx, "maintenance-9"); return err },
		"last maintenances": func() error { _, err := v.Maintenances().List(ctx, half, manyEnd, 100); return err },
		"maintenances of a year": func() error {
			_, err := v.Maintenances().List(ctx, manyBegin, manyEnd, view.MaintenancesMax)
			return err
		},
		"last posts":          func() error { _, err := v.Posts().List(ctx, 50); return err },
		"all posts":           func() error { _, err := v.Posts().List(ctx, view.PostsMax); return err },
		"post":                func() error { _, err := v.Posts().Get(ctx, "post-6"); return err },
		"removed texts":       func() error { _, err := v.Posts().Removed(ctx); return err },
		"sent in nine days":   func() error { _, err := v.Notified().Since(ctx, manyEnd.AddDate(0, 0, -9)); return err },
		"changes of catalogs": func() error { _, err := view.CatalogChanges(ctx, v, 20); return err },
		"last change":         func() error { _, _, err := v.LastChange(ctx, "host-7", manyEnd); return err },
		"earlier catalogs":    func() error { _, err := view.CatalogsBefore(ctx, v, manyEnd, 3); return err },
		"transitions of updates": func() error {
			all, err := view.TransitionsOf(ctx, v, parts)
			if err == nil && len(all) != len(parts) {
				err = fmt.Errorf("%d transitions are found of %d", len(all), len(parts))
			}
			return err
		},
	}
}
