package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/probemesh/probemesh/pkg/testenv"
)

const officePort = "8098"

// TestTheNightOfJune2025 replays the night in which the sole operator was locked out, as it would go today. Mail is
// stuck while pings are answered; the office, where messages go first, is cut off; nobody acknowledges, so the phone
// gets the message; its link acknowledges from a screen of 360 px; the operator writes by the API, and resolves.
func TestTheNightOfJune2025(t *testing.T) {
	t.Parallel()
	m := startMesh(t, 5*time.Second, "")
	site := "http://" + m.coordinator.address + ":8080"
	// The office is a machine in Vancouver, the phone is one in Lusaka: messages to it go through a service.
	office := m.startHookOn(m.hosts["NC028"], m.hosts["NC028"].address+":"+officePort)
	phone := m.startHookOn(m.hosts["NC034"], m.hosts["NC034"].address+":8099")
	m.page = fmt.Sprintf(", url: %q", site+"/")
	m.notify = fmt.Sprintf(`notify:
  channels:
    - {name: office, webhook: "http://%s:%s/"}
    - {name: phone, url: "generic+http://%s:8099/"}
  routes: [{channels: [office], escalate: [{after: 5s, channels: [phone]}]}]
`, m.hosts["NC028"].address, officePort, m.hosts["NC034"].address)
	m.writeCatalog(25)
	s := &operator{t: t, mesh: m}
	s.token = m.coordinator.run(m.programs.coordinator, "token", "add", "phone", "--scope", "write", "--data", m.data)
	s.writer = apiWriter{t, m, s.token}
	eventually(t, time.Minute, "the routes are in force", func() error {
		state, err := m.control.State(context.Background(), time.Time{})
		if err == nil && state.Catalog.Page.URL == "" {
			err = errors.New("the catalog of before is")
		}
		return err
	})

	began := time.Now()
	m.firewall("NC028", "input", "tcp dport "+officePort+" drop")
	Hang("NC036", "smtp").do(m)
	s.await("down", "NC036 Sending mail")
	s.await("partial_outage", "NC036")
	if err := m.are("up", "NC036 ping", "NC036 Reading mail"); err != nil {
		t.Error(err)
	}
	eventually(t, time.Minute, "the phone gets the message", func() error {
		if phone.message("/ack/") == "" {
			return errors.New("it has none")
		}
		return nil
	})
	message := phone.message("/ack/")
	t.Logf("after %v the phone reads\n%s", time.Since(began).Round(time.Millisecond), message)
	if !strings.Contains(message, "Sending mail") || !strings.Contains(message, "Still works: ") {
		t.Errorf("the message does not say what fails and what works:\n%s", message)
	}
	if office.has("NC036") {
		t.Error("the office got the message through a cut")
	}
	s.acknowledgeFromPhone(regexp.MustCompile(`http://\S+/ack/\S+`).FindString(message))
	id := regexp.MustCompile(`/incidents/([a-z0-9-]+)`).FindStringSubmatch(message)[1]

	s.writer.write("update", id, "Mail is delayed, and **none is lost**. I am locked out and write from a phone.",
		map[string]string{"status": "identified", "next_update": "2h"})
	m.repair() // the office is connected again, and the mail server goes on
	s.await("operational", "NC036")
	s.writer.write("resolve", id, "All mail has arrived. Every mail client gets a credit.", nil)
	s.wantShown(id, "NC036", []string{"Sending mail"}, "Sending mail stopped", "none is lost", "Sending mail works again",
		"Every mail client gets a credit.")
	eventually(t, time.Minute, "the phone reads that it is over", func() error {
		if phone.message("works again") == "" {
			return errors.New("it does not")
		}
		return nil
	})
	t.Logf("the night took %v", time.Since(began).Round(time.Millisecond))
}

// acknowledgeFromPhone opens the link of a message in a phone's browser, and presses the button there.
func (s *operator) acknowledgeFromPhone(link string) {
	s.t.Helper()
	list := func() string {
		return s.coordinator.run(s.programs.coordinator, "incident", "list", "--json", "--data", s.data)
	}
	// The browser runs outside of the lab's network, into which the proxy leads.
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(*httputil.ProxyRequest) {}, Transport: s.hosts["NC034"].client().Transport,
	})
	s.t.Cleanup(proxy.Close)
	phone := testenv.NewBrowser(s.t, chromedp.ProxyServer(proxy.URL))
	if err := chromedp.Do(phone, chromedp.EmulateViewport(360, 640), chromedp.Navigate(link)); err != nil {
		s.t.Fatal(err)
	}
	testenv.AwaitInPage(s.t, phone, "the page has its button", `document.querySelector("form button") !== null`)
	if wide := testenv.Evaluate[int](s.t, phone, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		s.t.Errorf("the page is %d px wider than the phone", wide)
	}
	const button = `document.querySelector("form button").getBoundingClientRect()`
	if height := testenv.Evaluate[float64](s.t, phone, button+".height"); height < 44 {
		s.t.Errorf("the button is %v px high: a thumb needs 44", height)
	}
	if bottom := testenv.Evaluate[float64](s.t, phone, button+".bottom - innerHeight"); bottom > 0 {
		s.t.Errorf("the button is %v px below the screen", bottom)
	}
	if before := list(); strings.Contains(before, `"acknowledged"`) {
		s.t.Errorf("reading the page acknowledged:\n%s", before)
	}
	if _, err := chromedp.Run(phone, chromedp.Click("form button")); err != nil {
		s.t.Fatal(err)
	}
	testenv.AwaitInPage(s.t, phone, "the page thanks", `document.body?.innerText.includes("Acknowledged. Thank you.")`)
	eventually(s.t, time.Minute, "operators read who looks after it", func() error {
		if now := list(); !strings.Contains(now, `"acknowledged"`) {
			return fmt.Errorf("operators read %s", now)
		}
		return nil
	})
}
