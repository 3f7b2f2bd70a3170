package catalog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Grounds are the colors that pages have below text and lines, light and dark, as #rrggbb.
var Grounds = []string{"#ffffff", "#f6f7f9", "#171e26", "#0f141a"}

const (
	// AccentContrast is the least contrast of the accent color with each of the grounds, as WCAG 2.2 asks of lines and of
	// what shows the focus.
	AccentContrast = 3
	// LogoMax is the size of a logo in bytes. Every page carries it.
	LogoMax = 8 << 10
)

// CheckAccent returns an error if a color is not #rrggbb, or is too close to a ground of the pages.
func CheckAccent(color string) error {
	if _, ok := luminance(color); !ok {
		return fmt.Errorf("%q is not a color as #rrggbb", color)
	}
	for _, ground := range Grounds {
		if c := contrast(color, ground); c < AccentContrast {
			return fmt.Errorf("the contrast of %s with the page's ground %s is %.1f to 1, less than %d to 1", color, ground,
				math.Floor(c*10)/10, AccentContrast)
		}
	}
	return nil
}

// contrast is the contrast of two colors as WCAG defines it, from 1 to 21.
func contrast(a, b string) float64 {
	x, _ := luminance(a)
	y, _ := luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// luminance is the relative luminance of #rrggbb as WCAG defines it.
func luminance(color string) (sum float64, ok bool) {
	digits, isHex := strings.CutPrefix(color, "#")
	value, err := strconv.ParseUint(digits, 16, 24)
	if !isHex || len(digits) != 6 || err != nil {
		return 0, false
	}
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} { // of red, green and blue
		c := float64(value>>(16-8*i)&0xff) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum, true
}

// logoTypes are the media types of logos. A browser runs no script of an image.
var logoTypes = []string{"image/svg+xml", "image/png", "image/webp", "image/jpeg"}

// CheckLogo returns an error if a text is not an image as a data URL, or is larger than LogoMax.
func CheckLogo(url string) error {
	for _, t := range logoTypes {
		data, found := strings.CutPrefix(url, "data:"+t+";base64,")
		if !found {
			continue
		}
		if size := base64.StdEncoding.DecodedLen(len(data)); size > LogoMax {
			return fmt.Errorf("the logo has about %d bytes, more than %d", size, LogoMax)
		}
		if _, err := base64.StdEncoding.DecodeString(data); err != nil {
			return errors.New("the logo is not in base64")
		}
		return nil
	}
	return errors.New("the logo is not a data URL of an SVG, PNG, WebP or JPEG image")
}
