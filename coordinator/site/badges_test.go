package site_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Only what is known to work is green.
func TestBadges(t *testing.T) {
	green := web.Color("up")
	for _, test := range []struct {
		verdict      mesh.Verdict
		status       mesh.Status
		age          time.Duration
		host, check  string
		green, known bool
	}{
		{mesh.Up, mesh.Operational, 0, "Operational", "Up", true, true},
		{mesh.Up, mesh.Operational, time.Minute, "Out of date", "Out of date", false, false},
		{mesh.Unknown, mesh.StatusUnknown, 0, "Unknown", "Unknown", false, false},
		{mesh.Pending, mesh.StatusUnknown, 0, "Unknown", "Waiting for the first results", false, false},
		{mesh.Down, mesh.MajorOutage, 0, "Major outage", "Down", false, true},
	} {
		s := webtest.NewSource(t, test.verdict, test.status)
		s.Snapshot.At = time.Now().Add(-test.age)
		h := public(s)
		for path, word := range map[string]string{
			"/badge.svg": test.host, "/badge/NC036.svg": test.host, "/badge/nc036.json": test.host,
			"/badge/NC036/sending-mail.svg": test.check, "/badge/nc036/Sending-Mail.json": test.check,
		} {
			w := webtest.Get(t, h, path)
			text := w.Body.String()
			if w.Code != http.StatusOK || !strings.Contains(text, word) ||
				strings.Contains(text, green[1:]) != test.green ||
				strings.Contains(text, web.Color("unknown")[1:]) == test.known {
				t.Errorf("%s while %s: %d %s", path, test.verdict, w.Code, text)
			}
			var shield struct {
				SchemaVersion         int
				Label, Message, Color string
			}
			isJSON := json.Unmarshal(w.Body.Bytes(), &shield) == nil
			if isJSON != strings.HasSuffix(path, ".json") || isJSON && (shield.SchemaVersion != 1 ||
				!strings.HasPrefix(shield.Label, "NC036") || shield.Message != word) {
				t.Errorf("%s: %s", path, text)
			} else if !isJSON && !strings.Contains(text, `role="img" aria-label="`) {
				t.Errorf("%s has no accessible name", path)
			}
		}
	}
	h := public(webtest.NewSource(t, mesh.Up, mesh.Operational))
	for _, path := range []string{"/badge/NC036", "/badge/NC023.svg", "/badge/NC023/ping.svg", "/badge/NC036/nothing.svg",
		"/badge/NC036/sending-mail", "/badge/.json"} {
		if w := webtest.Get(t, h, path); w.Code != http.StatusNotFound {
			t.Errorf("%s answers %d", path, w.Code)
		}
	}
}
