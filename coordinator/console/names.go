package console

import (
	"net/url"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// At a moment of the past, hosts and checks may have names that they do not have any more, and that others may have
// now. Their ids stay the same.

// hostNamed returns the host of the moment that is shown which an address names; nil if there is none.
func hostNamed(r request, name string) *catalog.Host {
	return catalog.HostThen(r.catalog, r.present, name)
}

// checkNamed is hostNamed for a check of a host.
func checkNamed(r request, h *catalog.Host, name string) *catalog.Check {
	return catalog.CheckThen(r.catalog, r.present, h, name)
}

// presentPath returns the path of the page with the names that are in force at present: at a moment of the past, and at
// those that its links lead to, the same names may be those of others. here is false if what it shows has left the
// catalog.
func presentPath(r request) (path string, here bool) {
	path, here = r.URL.EscapedPath(), true
	if region := mesh.Key(r.PathValue("region")); region != "" {
		return path, r.present.Region(region) != nil
	}
	if r.PathValue("host") == "" {
		return path, true
	}
	names := map[string]string{}
	for _, part := range []string{"vantage", "host"} {
		names[part] = r.PathValue(part)
		if h := hostNamed(r, names[part]); h != nil {
			now := r.present.HostByID(h.Identity())
			if now == nil {
				return path, false
			}
			names[part] = now.Name
		}
	}
	if names["check"], here = presentCheck(r); !here {
		return path, false
	}
	path = strings.TrimPrefix(r.Pattern, "GET ")
	for _, part := range []string{"vantage", "host", "check"} { // the names of hosts have no brackets
		path = strings.ReplaceAll(path, "{"+part+"}", url.PathEscape(names[part]))
	}
	return path, true
}

// presentCheck returns what the check of the address is called at present, whose host is in the catalog. One that the
// moment does not have is called as in the address.
func presentCheck(r request) (name string, here bool) {
	name = r.PathValue("check")
	h := hostNamed(r, r.PathValue("host"))
	if h == nil {
		return name, true
	}
	c := checkNamed(r, h, name)
	if c == nil {
		return name, true
	}
	now := r.present.HostByID(h.Identity()).CheckByID(h.IdentityOf(c))
	if now == nil {
		return name, false
	}
	return now.Name, true
}

// hasLeft reports whether the host of a transition, its check or a vantage that voted is not in the catalog any more.
func hasLeft(r request, t mesh.Transition) bool {
	h := hostNamed(r, t.Host)
	if h == nil || t.Check != "" && checkNamed(r, h, t.Check) == nil {
		return true
	}
	for _, v := range t.Votes {
		if slices.ContainsFunc(v.Edges, func(e mesh.EdgeState) bool { return hostNamed(r, e.Vantage) == nil }) {
			return true
		}
	}
	return false
}

// catalogThen is what sentences call the catalog whose names an address can have.
func catalogThen(r request) string {
	if r.moment.IsZero() {
		return "The catalog"
	}
	return "The catalog of that moment"
}

// namesOf returns what catalogs of any time call a host of the moment that is shown and one of its checks: keys. A name
// that another one has at present is not among them.
func namesOf(r request, host, check string) (hosts, checks []string) {
	hosts, checks = []string{mesh.Key(host)}, []string{mesh.Key(check)}
	h := r.catalog.Host(mesh.Key(host))
	if h == nil {
		return hosts, checks
	}
	checkID := ""
	if c := h.Check(check); c != nil {
		checkID = h.IdentityOf(c)
	}
	now := r.present.HostByID(h.Identity())
	if now == nil {
		return hosts, checks
	}
	hosts = append(hosts, now.Key())
	if c := now.CheckByID(checkID); c != nil {
		checks = append(checks, mesh.Key(c.Name))
	}
	for _, f := range r.present.Former {
		switch {
		case f.Host == "" && f.ID == now.Identity() && r.present.Host(mesh.Key(f.Name)) == nil:
			hosts = append(hosts, mesh.Key(f.Name))
		case f.Host == now.Identity() && f.ID == checkID && now.Check(f.Name) == nil:
			checks = append(checks, mesh.Key(f.Name))
		}
	}
	return hosts, checks
}
