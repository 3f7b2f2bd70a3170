package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
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

// The accent and the logo are in the page, and its policy allows the style that they need. What the catalog must not
// have is left out.
func TestAccentAndLogo(t *testing.T) {
	const logo = "data:image/svg+xml;base64,PHN2Zy8+"
	page := func(accent, logo string) (text, policy string) {
		w := httptest.NewRecorder()
		if err := (web.Layout{Accent: accent, Logo: logo}).Write(w, 200); err != nil {
			t.Fatal(err)
		}
		return html.UnescapeString(w.Body.String()), w.Header().Get("Content-Security-Policy")
	}
	text, policy := page("#0b6bcb", logo)
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(text)[1]
	sum := sha256.Sum256([]byte(style))
	if !strings.Contains(style, "--focus:#0b6bcb") || !strings.Contains(text, `<img src="`+logo+`" alt="">`) ||
		!strings.Contains(policy, base64.StdEncoding.EncodeToString(sum[:])) {
		t.Errorf("%s\n%s", policy, text)
	}
	text, _ = page("#ffff00;}body{display:none", "javascript:alert(1)")
	if strings.Contains(text, "ffff00") || strings.Contains(text, "javascript:") {
		t.Error("the page has what no catalog may have")
	}
}

// The contrast of accents is checked with the grounds that pages have.
func TestGroundsAreThoseOfThePages(t *testing.T) {
	style, err := os.ReadFile("assets/style.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, ground := range append([]string{"#fff;"}, catalog.Grounds[1:]...) {
		if !strings.Contains(string(style), ":"+ground) {
			t.Errorf("no ground of the pages is %s", ground)
		}
	}
}
