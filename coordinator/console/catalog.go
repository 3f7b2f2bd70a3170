package console

import (
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

type catalogView struct {
	Revision string
	Regions  int
	Rule     catalog.Rule
	Checks   []catalogRow
}

type catalogRow struct {
	Host, Region, Group, Check, Kind, Addresses string
	Public, Critical                            bool
	Interval, Timeout                           time.Duration
}

// catalogPage shows the catalog in force. It shows no option of a check: passwords are among them.
func catalogPage(s *console, r request) (view, error) {
	v := catalogView{Revision: r.catalog.Revision, Regions: len(r.catalog.Regions), Rule: r.catalog.Rule}
	t := table{name: "checks", columns: []string{
		"host", "region", "group", "addresses", "public", "check", "kind", "critical", "interval_seconds",
		"timeout_seconds",
	}}
	for i := range r.catalog.Hosts {
		h := &r.catalog.Hosts[i]
		for n := range h.Checks {
			c := &h.Checks[n]
			row := catalogRow{
				Host: h.Name, Region: h.Region, Group: h.Group, Check: c.Name, Kind: c.Kind,
				Addresses: strings.Join(h.Addresses, ", "), Public: h.Shows(c), Critical: c.Critical,
				Interval: c.Interval, Timeout: c.Timeout,
			}
			v.Checks = append(v.Checks, row)
			t.rows = append(t.rows, []any{
				row.Host, row.Region, row.Group, row.Addresses, row.Public, row.Check, row.Kind, row.Critical,
				row.Interval, row.Timeout,
			})
		}
	}
	return view{title: "Catalog", template: "catalog", section: "/catalog", data: v, tables: []table{t}}, nil
}
