package main

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// TestScreenshot makes the picture and compares it with the one in the manual: pixels differ with the time and the
// machine's fonts, but a page that was redesigned looks different from afar too.
func TestScreenshot(t *testing.T) {
	testenv.RequireLong(t)
	if _, err := findBrowser(); err != nil {
		testenv.SkipOrFail(t, "Chromium (Debian: chromium)")
	}
	testenv.Lock(t, "demo") // another demo would take the port of the service that is stopped
	file := filepath.Join(t.TempDir(), "page.png")
	if err := run(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	const sizeMax = 100_000 // bytes, which everybody who opens the README loads
	const manual = "../status-page.png"
	if info, err := os.Stat(manual); err != nil || info.Size() > sizeMax {
		t.Errorf("%s: %v, %v", manual, info, err)
	}
	const differenceMax = 4
	if d := difference(thumbnail(t, file), thumbnail(t, manual)); d > differenceMax {
		t.Errorf("the page looks different (by %.1f of 255) from %s: go run ./deploy/docs/screenshot", d, manual)
	} else {
		t.Logf("the picture in the manual differs by %.1f of 255", d)
	}
}

// thumbnail is the brightness of a picture in tiles of 40 by 40 pixels.
func thumbnail(t *testing.T, file string) (tiles []float64) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if picture.Bounds() != image.Rect(0, 0, width, height) {
		t.Fatalf("%s measures %v", file, picture.Bounds())
	}
	const tile = 40
	for y := 0; y < height; y += tile {
		for x := 0; x < width; x += tile {
			sum := 0.0
			for i := range tile * tile {
				c := rgba(picture.At(x+i%tile, y+i/tile))
				sum += (float64(c.R) + float64(c.G) + float64(c.B)) / 3
			}
			tiles = append(tiles, sum/(tile*tile))
		}
	}
	return tiles
}

// difference is the average difference between two thumbnails.
func difference(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += max(a[i]-b[i], b[i]-a[i])
	}
	return sum / float64(len(a))
}
