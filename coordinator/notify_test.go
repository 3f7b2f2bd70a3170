package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/probemesh/probemesh/pkg/mesh"
)

const hookSecret = "mark-of-the-hook"

// mailbox is an SMTP server that keeps what it takes.
type mailbox struct {
	address string
	mu      sync.Mutex
	mails   []*mail.Message
	bodies  []string
}

func (b *mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return b, nil }
func (b *mailbox) Mail(string, *smtp.MailOptions) error        { return nil }
func (b *mailbox) Rcpt(string, *smtp.RcptOptions) error        { return nil }
func (b *mailbox) Reset()                                      {}
func (b *mailbox) Logout() error                               { return nil }
func (b *mailbox) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(m.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails, b.bodies = append(b.mails, m), append(b.bodies, string(body))
	return err
}

func openMailbox(t *testing.T) *mailbox {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &mailbox{address: l.Addr().String()}
	server := smtp.NewServer(b)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-ended })
	return b
}

func (b *mailbox) read() []*mail.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.mails)
}

// hook is a receiver of webhooks that verifies signatures and drops repeats of an id, as receivers should.
type hook struct {
	*httptest.Server
	mu    sync.Mutex
	seen  map[string]int
	types []string // in the order of arrival, each id once
	data  []map[string]any
	wrong []string
	fails bool

	announced []string // the bodies that came by another path
}

func openHook(t *testing.T) *hook {
	h := &hook{seen: map[string]int{}}
	h.Server = httptest.NewServer(http.HandlerFunc(h.receive))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fails {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if r.URL.Path != "/hook" {
		h.announced = append(h.announced, string(body))
		return
	}
	id := r.Header.Get("webhook-id")
	mac := hmac.New(sha256.New, []byte(hookSecret))
	fmt.Fprintf(mac, "%s.%s.%s", id, r.Header.Get("webhook-timestamp"), body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
		h.wrong = append(h.wrong, "signature of "+id)
	}
	var m struct {
		Type string
		Data map[string]any
	}
	if err := json.Unmarshal(body, &m); err != nil {
		h.wrong = append(h.wrong, err.Error())
	}
	if h.seen[id]++; h.seen[id] == 1 {
		h.types, h.data = append(h.types, m.Type), append(h.data, m.Data)
	}
}

func (h *hook) received() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.types)
}

func (h *hook) fail(fails bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails = fails
}

// notifyTestbed is a mesh whose catalog has channels hook and mail.
func notifyTestbed(t *testing.T) (*testbed, *hook, *mailbox) {
	m, h, b := newTestbed(t), openHook(t), openMailbox(t)
	t.Setenv("HOOK_SECRET", hookSecret)
	text, err := os.ReadFile(m.path("catalog.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	section := fmt.Sprintf(`page: {title: Test status, url: "http://127.0.0.1:9/"}
notify:
  mail: {server: "smtp://%s", from: status@example.net}
  channels:
    - {name: hook, webhook: "%s/hook", secret: "${HOOK_SECRET}"}
    - {name: mail, email: [ops@example.net, night@example.net]}
  routes:
    - {channels: [hook, mail]}
    - {match: {advisory: [channel]}, channels: [mail]}
announce: [{url: "generic+%[2]s/announce"}]
`, b.address, h.URL)
	public := strings.ReplaceAll(string(text), "address: 127.0.0.1,", "address: 127.0.0.1, public: true,")
	if err := os.WriteFile(m.path("catalog.yaml"), []byte(public+section), 0o600); err != nil {
		t.Fatal(err)
	}
	return m, h, b
}

// A webhook and a mailbox each get one message when an outage begins, and one in the same thread when it ends. The link
// in the message acknowledges.
func TestPeopleAreNotified(t *testing.T) {
	m, h, b := notifyTestbed(t)
	data := m.path("d")
	m.startMesh(data)
	if out := m.must(m.coordinator, "notify", "test", "--data", data); !strings.Contains(
		out,
		"hook\tsent\nmail\tsent\n",
	) {
		t.Errorf("notify test: %s", out)
	}
	if out := m.must(m.coordinator, "notify", "explain", "NC1", "--data", data); strings.Count(
		out,
		"first message",
	) != 2 {
		t.Errorf("notify explain: %s", out)
	}
	m.services["NC1"].Close()
	m.awaitStatus(data, "NC1", mesh.MajorOutage)
	m.eventually("the messages about the outage arrive", func() bool {
		return len(h.received()) == 2 && len(b.read()) == 2
	})
	if got := h.received(); got[1] != "incident.opened" || h.data[1]["state"] != "ongoing" {
		t.Errorf("the webhook received %v, %v", got, h.data[1])
	}
	opened := b.read()[1]
	if subject := opened.Header.Get("Subject"); !strings.HasPrefix(subject, "DOWN NC1") || len(subject) > 69 {
		t.Errorf("the subject is %q", subject)
	}
	m.acknowledgeByLink(t, data, h.data[1])
	m.openService("NC1")
	m.awaitStatus(data, "NC1", mesh.Operational)
	m.eventually("the messages about its end arrive", func() bool { return len(h.received()) == 3 && len(b.read()) == 3 })
	over := b.read()[2]
	if !strings.HasPrefix(over.Header.Get("Subject"), "OK NC1") ||
		over.Header.Get("In-Reply-To") != opened.Header.Get("Message-Id") {
		t.Errorf("the message about the end is %v, after %v", over.Header, opened.Header)
	}
	m.must(m.coordinator, "post", "publish", "--title", "New rack", "--text", "Two servers **joined**.", "--data", data)
	m.eventually("the post and the incident are announced", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		all := strings.Join(h.announced, "\n")
		return strings.Contains(all, "Two servers joined.") && strings.Contains(all, "/incidents/")
	})
	if len(h.wrong) > 0 {
		t.Errorf("wrong: %v", h.wrong)
	}
	if log := m.serve.log.String(); strings.Contains(log, hookSecret) || strings.Contains(log, "/ack/ey") {
		t.Error("a secret is in the log")
	}
}

// acknowledgeByLink opens the link of a message: reading it changes nothing, its button acknowledges.
func (m *testbed) acknowledgeByLink(t *testing.T, data string, message map[string]any) {
	t.Helper()
	link, _ := message["acknowledge"].(string)
	_, path, found := strings.Cut(link, "/ack/")
	if !found {
		t.Fatalf("the message has no link: %v", message)
	}
	address := "http://" + m.ops + "/ack/" + path
	visit := func(method, address string) (int, string, http.Header) {
		r, err := http.NewRequest(method, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body), res.Header
	}
	for range 2 { // a mail scanner follows it first
		status, body, header := visit(http.MethodGet, address)
		if status != http.StatusOK || !strings.Contains(body, "<button") || header.Get("Cache-Control") != "no-store" ||
			header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(header.Get("X-Robots-Tag"), "noindex") {
			t.Errorf("the link answers %d, %v", status, header)
		}
	}
	if status, body, _ := visit(http.MethodPost, address); status != http.StatusOK ||
		!strings.Contains(body, "Acknowledged") {
		t.Errorf("its button answers %d: %s", status, body)
	}
	if _, body, _ := visit(http.MethodGet, address); strings.Contains(body, "<button") {
		t.Error("the link still has a button")
	}
	last := address[len(address)-1]
	forged := address[:len(address)-1] + string(last^1)
	if status, body, _ := visit(http.MethodPost, forged); status != http.StatusNotFound || strings.Contains(body, "NC1") {
		t.Errorf("a forged link answers %d: %s", status, body)
	}
	if out := m.must(m.coordinator, "audit", "--data", data); !strings.Contains(out, "notify.acknowledge ") {
		t.Errorf("the audit log: %s", out)
	}
	if out := m.must(m.coordinator, "incident", "list", "--data", data); !strings.Contains(out, ": acknowledged by ") {
		t.Errorf("the list of incidents does not say who looks after it: %s", out)
	}
}

// The coordinator is killed again and again while messages are due. A receiver that knows ids gets each
// message once, and none is missing.
func TestKillsNeitherLoseNorRepeatMessages(t *testing.T) {
	m, h, _ := notifyTestbed(t)
	data := m.path("d")
	m.startMesh(data)
	for round := range 4 {
		if round%2 == 0 {
			m.services["NC1"].Close()
		} else {
			m.openService("NC1")
		}
		h.fail(round == 2) // a channel that fails when the coordinator dies
		want := map[bool]mesh.Status{true: mesh.MajorOutage, false: mesh.Operational}[round%2 == 0]
		m.awaitStatus(data, "NC1", want)
		_ = m.serve.cmd.Process.Signal(syscall.SIGKILL)
		<-m.serve.done
		m.serve.done <- nil
		h.fail(false)
		m.startCoordinator(data)
		m.eventually("the message arrives", func() bool { return len(h.received()) > round })
	}
	m.awaitStatus(data, "NC1", mesh.Operational)
	want := []string{"incident.opened", "incident.over", "incident.opened", "incident.over"}
	if got := h.received(); !slices.Equal(got, want) {
		t.Errorf("received %v (%v)", got, h.seen)
	}
}
