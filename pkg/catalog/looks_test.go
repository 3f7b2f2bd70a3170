package catalog_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
)

func TestAccentsHaveContrastWithEveryGround(t *testing.T) {
	for color, want := range map[string]string{
		"#0b6bcb": "", "#808080": "", "#0B6BCB": "",
		"#ffff00": "the contrast of #ffff00 with the page's ground #ffffff is 1.0 to 1, less than 3 to 1",
		"#102a66": "the contrast of #102a66 with the page's ground #171e26 is 1.2 to 1, less than 3 to 1",
		"blue":    `"blue" is not a color as #rrggbb`, "#fff": `"#fff" is not a color as #rrggbb`,
		"#0b6bcb;": `"#0b6bcb;" is not`, "#+b6bcb": "is not a color", "": "is not a color",
	} {
		err := catalog.CheckAccent(color)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, not %q", color, err, want)
		}
	}
}

func TestLogosAreSmallImages(t *testing.T) {
	of := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for url, want := range map[string]string{
		"data:image/svg+xml;base64," + of(8190): "", "data:image/png;base64," + of(1): "",
		"data:image/png;base64," + of(9000): "more than 8192", "data:image/png;base64,%%%": "not in base64",
		"data:text/html;base64," + of(1): "not a data URL", "https://example.net/logo.png": "not a data URL",
	} {
		err := catalog.CheckLogo(url)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60s: %v, not %q", url, err, want)
		}
	}
}
