package notify_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// The night of June 2025: the operator is locked out and has a phone. The link of the message shows what fails and one
// large button on a screen of 360 px, without a sign-in, and the button acknowledges.
func TestAcknowledgingFromAPhone(t *testing.T) {
	var mu sync.Mutex
	var acknowledged []string
	a := &notify.Acknowledger{
		Key: []byte("0123456789abcdef0123456789abcdef"), Now: time.Now,
		Acknowledge: func(_ *http.Request, id string, _ int) error {
			mu.Lock()
			defer mu.Unlock()
			acknowledged = append(acknowledged, id)
			return nil
		},
		Title: func(*http.Request, string) (string, bool, bool, bool) {
			mu.Lock()
			defer mu.Unlock()
			return "NC036: Receiving mail degraded, messages arrive late and twice", false, len(acknowledged) > 0, true
		},
	}
	site := httptest.NewServer(web.NewHandler(zerolog.Nop(), web.Public, a.Routes()...))
	t.Cleanup(site.Close)
	link := site.URL + a.Path(notify.Alert{ID: "i1", Opened: time.Now()})

	phone := testenv.NewBrowser(t)
	if err := chromedp.Do(phone, chromedp.EmulateViewport(360, 640), chromedp.Navigate(link)); err != nil {
		t.Fatal(err)
	}
	if text := testenv.Evaluate[string](t, phone, `document.body.innerText`); !strings.Contains(text, "arrive late") ||
		!strings.Contains(text, "Nobody has acknowledged it yet") {
		t.Errorf("the page says %q", text)
	}
	if wide := testenv.Evaluate[int](t, phone, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		t.Errorf("the page is %d px wider than the phone", wide)
	}
	const button = `document.querySelector("form button").getBoundingClientRect()`
	if height := testenv.Evaluate[float64](t, phone, button+".height"); height < 44 {
		t.Errorf("the button is %v px high: a thumb needs 44", height)
	}
	if bottom := testenv.Evaluate[float64](t, phone, button+".bottom - innerHeight"); bottom > 0 {
		t.Errorf("the button is %v px below the screen", bottom)
	}
	mu.Lock()
	if len(acknowledged) > 0 {
		t.Errorf("reading the page acknowledged %v", acknowledged)
	}
	mu.Unlock()
	if _, err := chromedp.Run(phone, chromedp.Click("form button")); err != nil {
		t.Fatal(err)
	}
	thanks := func() bool { // the page changes meanwhile, so that an attempt may fail
		text, err := chromedp.Run(phone, chromedp.Evaluate[string](`document.body.innerText`))
		return err == nil && strings.Contains(text, "Acknowledged. Thank you.")
	}
	for end := time.Now().Add(2 * time.Minute); !thanks(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the page never says that it is acknowledged")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(acknowledged) != 1 || acknowledged[0] != "i1" {
		t.Errorf("acknowledged %v", acknowledged)
	}
}
