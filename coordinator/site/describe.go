package site

import (
	"fmt"
	"strings"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// describe says in a sentence what the page at a path shows, for search engines and where people share a link; "" for
// pages that show how everything is.
func describe(s web.State, path string) string {
	name, isHost := strings.CutPrefix(path, hostsPrefix)
	host, check, ofCheck := strings.Cut(name, checksPart)
	if h, found := s.Host(mesh.Key(host)); isHost && found {
		about := fmt.Sprintf("%s, %s in %s", called(s, h), h.Name, s.City(h.Region))
		if !ofCheck {
			return fmt.Sprintf("%s: %s.", about, strings.ToLower(web.StatusLook(h.Status).Word))
		}
		if c, found := findCheck(h, check); found {
			return fmt.Sprintf("%s of %s: %s.", c.Name, about, strings.ToLower(web.CheckLook(c).Word))
		}
	}
	switch path {
	case "/matrix":
		return "How long every check takes to answer each region."
	case "/maintenance":
		return "Maintenance that is in progress, planned and past."
	case rulePath:
		return "How regions decide together that a service is down."
	}
	return ""
}

// pageTitle is what the page at a path is about, for its title; "" for the front page and for what no state names.
func pageTitle(s web.State, path string) string {
	name, isHost := strings.CutPrefix(path, hostsPrefix)
	host, check, ofCheck := strings.Cut(name, checksPart)
	if h, found := s.Host(mesh.Key(host)); isHost && found {
		if !ofCheck {
			return called(s, h)
		}
		if c, found := findCheck(h, check); found {
			return c.Name + " – " + called(s, h)
		}
	}
	return map[string]string{
		"/matrix": "Matrix", "/maintenance": "Maintenance", rulePath: "How we decide",
	}[path]
}

// orNotFound is the title of a page that was found or not.
func orNotFound(title string, found bool) string {
	if !found {
		return "Page not found"
	}
	return title
}

func describeIncident(s web.State, i *incident.Incident) string {
	named := s.InClientsWords(i)
	return fmt.Sprintf("%s. %s, began on %s.", named.Name(), web.IncidentLook(i).Word,
		i.Wall(i.Began).UTC().Format("2 January 2006 at 15:04 UTC"))
}
