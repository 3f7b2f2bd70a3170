// Package matrix arranges a snapshot as a table of who reaches what: rows are checks, columns are regions or
// vantages. The status page, the console and `coordinator matrix` each write it in their own way.
package matrix

import (
	"slices"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Positions returns the function that numbers hosts, and the vantages on them, in the order of rows and columns: by
// region and then by host, as the catalog lists them, so that each host's own column is on the diagonal.
func Positions(c *catalog.Catalog) func(region, host string) int {
	regions, hosts := map[string]int{}, map[string]int{}
	for i, r := range c.Regions {
		regions[r.Name] = i
	}
	for i := range c.Hosts {
		hosts[c.Hosts[i].Key()] = i
	}
	place := func(in map[string]int, name string) int {
		if i, known := in[name]; known {
			return i
		}
		return len(in)
	}
	return func(region, host string) int {
		return place(regions, region)*(len(hosts)+1) + place(hosts, mesh.Key(host))
	}
}

// Matrix is a table with cells of type C.
type Matrix[C any] struct {
	Columns []string
	Rows    []Row[C]
}

// Row is one check of one host, with a cell for each column.
type Row[C any] struct {
	Host  mesh.HostState
	Check mesh.CheckState
	Cells []C
}

// RegionCell is what one region votes on a check.
type RegionCell struct {
	Counted bool            // false if the region has no vote: the host is its own, or the region is new
	Vote    mesh.RegionVote // zero if Counted is false
}

// ByRegion returns the matrix of hosts and regions, which are names from the catalog.
func ByRegion(hosts []mesh.HostState, regions []string) Matrix[RegionCell] {
	return build(hosts, regions, func(h mesh.HostState, c mesh.CheckState, region string) RegionCell {
		i := slices.IndexFunc(c.Votes, func(v mesh.RegionVote) bool { return v.Region == region })
		if i < 0 || h.Region == region {
			return RegionCell{}
		}
		return RegionCell{true, c.Votes[i]}
	})
}

// ByVantage returns the matrix of hosts and vantages. A cell has the vantage's latest result for each address family;
// it is empty if the vantage does not run the check.
func ByVantage(hosts []mesh.HostState, vantages []mesh.VantageState) Matrix[[]mesh.EdgeState] {
	columns := make([]string, len(vantages))
	for i, v := range vantages {
		columns[i] = v.Name
	}
	return build(hosts, columns, func(_ mesh.HostState, c mesh.CheckState, name string) []mesh.EdgeState {
		var edges []mesh.EdgeState
		for _, v := range c.Votes {
			for _, e := range v.Edges {
				if e.Vantage == mesh.Key(name) {
					edges = append(edges, e)
				}
			}
		}
		return edges
	})
}

func build[C any](
	hosts []mesh.HostState, columns []string, cell func(h mesh.HostState, c mesh.CheckState, column string) C,
) Matrix[C] {
	m := Matrix[C]{Columns: columns}
	for _, h := range hosts {
		for _, c := range h.Checks {
			row := Row[C]{Host: h, Check: c, Cells: make([]C, len(columns))}
			for i, column := range columns {
				row.Cells[i] = cell(h, c, column)
			}
			m.Rows = append(m.Rows, row)
		}
	}
	return m
}
