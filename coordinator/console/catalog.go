package console

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/sla"
)

// Records is what the ledger has of catalogs and agents.
type Records interface {
	// CatalogChanges lists the newest changes of the catalog, the newest first.
	CatalogChanges(ctx context.Context, limit int) ([]ledger.Change, error)
	// Catalog returns a catalog that was in force.
	Catalog(ctx context.Context, revision string) (*catalog.Catalog, error)
	// Agents lists the agents that are enrolled.
	Agents(ctx context.Context) ([]ledger.Agent, error)
	// Pauses returns when no coordinator judged, in a period of mesh time.
	Pauses(ctx context.Context, from, to time.Time) ([]sla.Window, error)
}

type catalogView struct {
	Revision string
	Regions  int
	Problems []string // of the file, and what will not work as it is written
	History  []catalogVersion
	From, To string
	Between  []string // the differences of To from From
	Compared bool
	Checks   []catalogRow // the first ones
	All      int          // checks of the catalog
}

// catalogVersion is a catalog of the history, with some of its changes.
type catalogVersion struct {
	ledger.Change
	All, More int // how many changes it has, and how many of them the page does not list
}

type catalogRow struct {
	Host, Region, Group, Check, Kind, Addresses, Except string
	Public, Critical                                    bool
	Interval, Timeout                                   time.Duration
}

const (
	// historyShown is how many catalogs are listed, and changesOfCatalog how many changes of each: one of a thousand
	// hosts is a megabyte.
	historyShown     = 20
	changesOfCatalog = 30
	differencesMax   = 500
	// checksShown bounds the checks that the page lists; the table for programs has all of them.
	checksShown = 300
)

// catalogPage shows the catalog in force and its history. It shows no option of a check: passwords are among them.
func catalogPage(s *console, r request) (view, error) {
	v := catalogView{Revision: r.catalog.Revision, Regions: len(r.catalog.Regions), Problems: r.catalog.Warnings()}
	if text := s.config.Source.Warnings()["catalog file"]; text != "" {
		v.Problems = append(strings.Split(text, "\n"), v.Problems...)
	}
	changes := table{name: "changes", columns: []string{"at", "revision", "source", "change"}}
	if s.config.Records != nil {
		history, err := s.config.Records.CatalogChanges(r.Context(), historyShown)
		if err != nil {
			return view{}, err
		}
		for _, one := range history {
			v.History = append(v.History, catalogVersion{Change: one, All: len(one.Changes)})
		}
		if err := v.compare(s, r); err != nil {
			return view{}, err
		}
	}
	for i := range v.History {
		h := &v.History[i]
		for _, c := range h.Changes {
			changes.rows = append(changes.rows, []any{h.At, h.Revision, h.Source, c.String()})
		}
		h.Changes = h.Changes[:min(h.All, changesOfCatalog)]
		h.More = h.All - len(h.Changes)
	}
	tables := []table{v.list(r.catalog), changes}
	if v.Compared {
		differences := table{name: "differences", columns: []string{"from", "to", "change"}}
		for _, text := range v.Between {
			differences.rows = append(differences.rows, []any{v.From, v.To, text})
		}
		tables = append(tables, differences)
	}
	return view{
		title: "Catalog", template: "catalog", section: "/catalog", data: v, tables: tables,
	}, nil
}

// compare fills in the differences between the versions that ?from= and ?to= name. Of secrets they say that a value
// changed, and never the value.
func (v *catalogView) compare(s *console, r request) error {
	v.From, v.To = r.URL.Query().Get("from"), r.URL.Query().Get("to")
	if v.From == "" && v.To == "" {
		return nil
	}
	var both [2]*catalog.Catalog
	for i, revision := range []string{v.From, v.To} {
		if revision == "" || revision == r.catalog.Revision {
			both[i] = r.catalog
			continue
		}
		var err error
		if both[i], err = s.config.Records.Catalog(r.Context(), revision); err != nil {
			return web.Errorf(http.StatusNotFound, "no catalog %.20q was ever in force", revision)
		}
	}
	v.From, v.To, v.Compared = both[0].Revision, both[1].Revision, true
	for _, c := range catalog.Compare(both[0], both[1]) {
		if len(v.Between) == differencesMax {
			v.Between = append(v.Between, "and more")
			break
		}
		v.Between = append(v.Between, c.String())
	}
	return nil
}

// list adds the first checks of the catalog to the page, and returns all of them for programs.
func (v *catalogView) list(c *catalog.Catalog) table {
	t := table{name: "checks", columns: []string{
		"host", "region", "group", "addresses", "public", "check", "kind", "critical", "interval_seconds",
		"timeout_seconds", "except",
	}}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for n := range h.Checks {
			check := &h.Checks[n]
			row := catalogRow{
				Host: h.Name, Region: h.Region, Group: h.Group, Check: check.Name, Kind: check.Kind,
				Addresses: strings.Join(h.Addresses, ", "), Public: h.Public, Critical: check.Critical,
				Interval: check.Interval, Timeout: check.Timeout, Except: strings.Join(check.Except, ", "),
			}
			if len(v.Checks) < checksShown {
				v.Checks = append(v.Checks, row)
			}
			v.All++
			t.rows = append(t.rows, []any{
				row.Host, row.Region, row.Group, row.Addresses, row.Public, row.Check, row.Kind, row.Critical,
				row.Interval, row.Timeout, row.Except,
			})
		}
	}
	return t
}
