// Command screenshot renews the picture of the status page in the README: it runs the demo, stops one service, waits
// until the page reports it, and photographs the page with Chromium. Flags need an emoji font (Debian:
// fonts-noto-color-emoji).
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/demo"
)

// The size of the picture in pixels. The height ends below the first hosts.
const (
	width  = 1000
	height = 760
)

const patience = 2 * time.Minute // for each state of the page: a slow machine may need most of it

func main() {
	out := flag.String("out", "deploy/docs/status-page.png", "file to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run makes the picture and writes it.
func run(ctx context.Context, out string) error {
	browser, err := findBrowser()
	if err != nil {
		return err
	}
	d, err := demo.Open(ctx, demo.Config{Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		return err
	}
	defer d.Close()
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(running) }()
	defer func() { cancel(); <-ended }() // before Close, which needs the agents to have stopped

	page := "http://" + d.PublicAddr().String() + "/"
	// A check that was never up has no outage.
	if err := await(ctx, page, "All systems operational", "Waiting for the first results"); err != nil {
		return err
	}
	if _, err := d.Break(demo.Fault{Fault: "service", Host: "NC036", Check: "Sending mail"}); err != nil {
		return err
	}
	if err := await(ctx, page, "Partial outage", ""); err != nil {
		return err
	}
	shot, err := photograph(ctx, browser, page)
	if err != nil {
		return err
	}
	small, err := shrink(shot)
	if err != nil {
		return err
	}
	return os.WriteFile(out, small, 0o644)
}

// findBrowser looks for Chromium in $PATH.
func findBrowser() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium here: install it (Debian: chromium)")
}

// await polls the page until it contains the text, and not the other one unless that is empty.
func await(ctx context.Context, page, text, without string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		body, err := get(ctx, page)
		if err == nil && strings.Contains(body, text) && (without == "" || !strings.Contains(body, without)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the page does not show %q: %w", text, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// photograph returns the top of the page as PNG.
func photograph(ctx context.Context, browser, page string) (shot []byte, err error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox,
		chromedp.WSURLReadTimeout(patience))
	ctx, cancel := chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height), chromedp.Navigate(page)); err != nil {
		return nil, err
	}
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}

// shrink encodes a picture with a palette of its 256 most frequent colors, which a page of text and flat colors does
// not miss: a third of the bytes.
func shrink(shot []byte) ([]byte, error) {
	full, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return nil, err
	}
	bounds := full.Bounds()
	count := map[color.RGBA]int{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[rgba(full.At(x, y))]++
		}
	}
	frequent := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int { return count[b] - count[a] })
	var palette color.Palette
	for _, c := range frequent[:min(256, len(frequent))] {
		palette = append(palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	for c := range count {
		nearest[c] = uint8(palette.Index(c))
	}
	small := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			small.SetColorIndex(x, y, nearest[rgba(full.At(x, y))])
		}
	}
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small)
	return out.Bytes(), err
}

func rgba(c color.Color) color.RGBA { return color.RGBAModel.Convert(c).(color.RGBA) }
