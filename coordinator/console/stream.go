package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
)

// events streams the body of the page whose address is in ?page= after every change.
func (s *console) events(w http.ResponseWriter, r *http.Request) error {
	address, err := url.ParseRequestURI(r.URL.Query().Get("page"))
	if err != nil || address.IsAbs() || address.Host != "" {
		return web.Errorf(http.StatusNotFound, "no page %q", r.URL.Query().Get("page"))
	}
	p, asked := s.find(r, address)
	if p == nil {
		return web.Errorf(http.StatusNotFound, "no page %q", address.Path)
	}
	// Pages of the past, of charts and of tables open no stream: each change would have them read and replayed again.
	still := address.Query().Get("at") != "" || formatOf(asked) != ""
	if !still {
		_, v, err := s.open(asked, p)
		if err != nil {
			return err
		}
		still = v.still
	}
	if still {
		return web.Errorf(http.StatusNotFound, "the page %q does not update by itself", address.Path)
	}
	update := func(send web.SendFunc) error {
		opened, v, err := s.open(asked, p)
		if err != nil {
			return err
		}
		body, err := opened.render(v)
		if err != nil {
			return err
		}
		if err := send("page", string(body)); err != nil {
			return err
		}
		status, err := json.Marshal(struct {
			Title string `json:"title"`
		}{opened.title(v)})
		if err != nil {
			return err
		}
		return send("status", string(status))
	}
	at := func() time.Time { _, snapshot := s.config.Source.Current(); return snapshot.At }
	return s.streams.Serve(w, r, web.Feed{Changed: s.config.Source.Changed, Update: update, At: at})
}
