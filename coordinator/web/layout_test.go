package web_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/coordinator/web"
)

// The footer explains the rule with the share that the catalog sets.
func TestTheFooterSaysTheShareInForce(t *testing.T) {
	for share, want := range map[float64]string{
		0: "more than\nhalf of all regions", 0.6: "more than\n60 % of all regions",
	} {
		w := httptest.NewRecorder()
		if err := (web.Layout{DownShare: share}).Write(w, 200); err != nil || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%v, lacks %q", err, want)
		}
	}
}
