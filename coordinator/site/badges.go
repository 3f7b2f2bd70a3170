package site

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// badge is a status as a picture or as data, for other pages.
type badge struct {
	label string // the page's title, or the name of the host or check
	web.Look
}

// The formats of badges.
const (
	badgePicture = ".svg"
	badgeData    = ".json" // for shields.io's endpoint badges
)

// pageBadge answers with the status of the whole page.
func (s *Site) pageBadge(w http.ResponseWriter, r *http.Request) error {
	state := s.view.State()
	open, err := s.view.Open(r.Context())
	if err != nil {
		return err
	}
	return badge{state.Catalog.Page.Title, web.StatusLook(state.Overall(open).Status)}.write(w, state, badgePicture)
}

// hostBadge answers with the status of a host.
func (s *Site) hostBadge(w http.ResponseWriter, r *http.Request) error {
	file := r.PathValue("file")
	name, format, ok := cutFormat(file)
	state := s.view.State()
	if h, moved := state.Moved(name); ok && moved {
		redirect(w, r, "/badge/"+url.PathEscape(h.Name)+format)
		return nil
	}
	h, found := state.Host(mesh.Key(name))
	if !ok || !found {
		return web.Errorf(http.StatusNotFound,
			"no badge %q: write the name of a host, as in /badge/NAME.svg or /badge/NAME.json", file)
	}
	return badge{h.Name, web.StatusLook(h.Status)}.write(w, state, format)
}

// checkBadge answers with the verdict on a check.
func (s *Site) checkBadge(w http.ResponseWriter, r *http.Request) error {
	file := r.PathValue("file")
	name, format, ok := cutFormat(file)
	state := s.view.State()
	_, moved := state.Moved(r.PathValue("host"))
	h, found := state.Host(state.Present(r.PathValue("host")))
	wanted := func(check string) bool { return slug(check) == slug(name) }
	if ok && found {
		i := slices.IndexFunc(h.Checks, func(c mesh.CheckState) bool { return wanted(c.Name) })
		if i >= 0 && !moved {
			return badge{h.Name + " " + h.Checks[i].Name, web.CheckLook(h.Checks[i])}.write(w, state, format)
		}
		c, renamed := state.MovedCheck(h, wanted)
		if i >= 0 {
			c, renamed = h.Checks[i], true
		}
		if renamed {
			redirect(w, r, "/badge/"+url.PathEscape(h.Name)+"/"+url.PathEscape(slug(c.Name))+format)
			return nil
		}
	}
	return web.Errorf(http.StatusNotFound,
		"no badge %q: write the names of a host and of a check, as in /badge/NC036/sending-mail.svg", file)
}

// cutFormat splits the name of a badge's file.
func cutFormat(file string) (name, format string, ok bool) {
	for _, format := range []string{badgePicture, badgeData} {
		if name, ok := strings.CutSuffix(file, format); ok {
			return name, format, true
		}
	}
	return file, "", false
}

// slug returns a check's name as an address has it.
func slug(name string) string { return web.Slug(name) }

// write answers with the badge. A status that is too old to be called current is not shown as one.
func (b badge) write(w http.ResponseWriter, s web.State, format string) error {
	look := b.Look
	if s.OutOfDate() {
		look = web.OutOfDateLook()
	}
	if format == badgeData {
		return web.WriteJSON(w, http.StatusOK, map[string]any{
			"schemaVersion": 1, "label": b.label, "message": look.Word, "color": strings.TrimPrefix(web.Color(look.Class), "#"),
		})
	}
	web.WriteData(w, http.StatusOK, "image/svg+xml", []byte(web.BadgeSVG(b.label, look)))
	return nil
}

// hostBadgeKey is the key of a host's badge: one however the name is spelt.
func hostBadgeKey(r *http.Request) (string, bool) {
	name, format, ok := cutFormat(r.PathValue("file"))
	return "/badge/" + mesh.Key(name) + format, ok
}

// checkBadgeKey is the key of a check's badge.
func checkBadgeKey(r *http.Request) (string, bool) {
	name, format, ok := cutFormat(r.PathValue("file"))
	return "/badge/" + mesh.Key(r.PathValue("host")) + "/" + slug(name) + format, ok
}
