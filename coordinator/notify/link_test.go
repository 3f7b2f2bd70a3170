package notify_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
)

// Every change of a link makes it invalid, whichever character of it is changed, and so does a week.
func TestAChangedLinkIsRefused(t *testing.T) {
	now := noon
	a := &notify.Acknowledger{
		Key: make([]byte, 32), Now: func() time.Time { return now },
		Acknowledge: func(*http.Request, string, int) error { return nil },
		Title: func(*http.Request, string) (title string, over, acknowledged, ok bool) {
			return "NC036: major outage", false, false, true
		},
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	h := web.NewMux(zerolog.Nop(), a.Routes()...)
	path := a.Path(mail())
	if w := webtest.Get(t, h, path); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<button") {
		t.Fatalf("the link answers %d: %s", w.Code, w.Body)
	}
	for i := len(web.SecretPrefix); i < len(path); i++ {
		for _, c := range alphabet {
			changed := path[:i] + string(c) + path[i+1:]
			if w := webtest.Get(t, h, changed); changed != path && w.Code != http.StatusNotFound {
				t.Errorf("with %q at %d the link answers %d", c, i, w.Code)
			}
		}
	}
	now = noon.Add(8 * 24 * time.Hour)
	if w := webtest.Get(t, h, path); w.Code != http.StatusNotFound {
		t.Errorf("after a week the link answers %d", w.Code)
	}
}
