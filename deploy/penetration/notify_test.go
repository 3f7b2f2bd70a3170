package penetration_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/coordinator/notify/channel"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/secret"
)

// linkWorld answers the links of messages, as the public page does.
type linkWorld struct {
	handler      http.Handler
	log          bytes.Buffer
	now          time.Time
	over         bool
	acknowledged []string
}

const (
	linkKey      = "0123456789abcdef0123456789abcdef"
	internalHost = "NC023"
)

func newLinkWorld() (*linkWorld, *notify.Acknowledger) {
	w := &linkWorld{now: time.Date(2025, 6, 11, 7, 0, 0, 0, time.UTC)}
	a := &notify.Acknowledger{
		Key: []byte(linkKey), Now: func() time.Time { return w.now },
		Acknowledge: func(_ *http.Request, id string, round int) error {
			if w.over || round != 0 {
				return errkind.New(errkind.Conflict, "over")
			}
			w.acknowledged = append(w.acknowledged, id)
			return nil
		},
		Title: func(_ *http.Request, id string) (string, bool, bool, bool) {
			return internalHost + ": relay down", w.over, false, id == "i1"
		},
	}
	w.handler = web.NewHandler(zerolog.New(&w.log), web.Public, a.Routes()...)
	return w, a
}

func (w *linkWorld) visit(method, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://status.example.net/", nil)
	r.URL.Path, r.URL.RawPath, r.RequestURI = path, "", path
	out := httptest.NewRecorder()
	w.handler.ServeHTTP(out, r)
	return out
}

// forgeries are paths that somebody may try who has seen a valid one, or none.
func forgeries(t *testing.T, valid string) map[string]string {
	t.Helper()
	data, mac, _ := strings.Cut(strings.TrimPrefix(valid, "/ack/"), ".")
	ticket, err := base64.RawURLEncoding.DecodeString(data)
	must(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	sign := func(key, prefix string, data []byte) string {
		m := hmac.New(sha256.New, []byte(key))
		m.Write([]byte(prefix))
		m.Write(data)
		return encode(data) + "." + encode(m.Sum(nil))
	}
	other := bytes.Replace(ticket, []byte("i1"), []byte("i2"), 1)
	longer := bytes.Replace(ticket, []byte(`"u":`), []byte(`"u":9`), 1)
	return map[string]string{
		"nothing": "", "a dot": ".", "no signature": data, "an empty signature": data + ".",
		"half a signature": data + "." + mac[:len(mac)/2], "two signatures": data + "." + mac + "." + mac,
		"padding": data + "." + mac + "=", "a line break": data + "." + mac + "\n", "a NUL": data + "\x00." + mac,
		"another incident": encode(other) + "." + mac, "a later end": encode(longer) + "." + mac,
		"another key":                sign("ffffffffffffffffffffffffffffffff", "acknowledge\x00", ticket),
		"an empty key":               sign("", "acknowledge\x00", ticket),
		"the key without a purpose":  sign(linkKey, "", ticket),
		"text that is not a ticket":  sign(linkKey, "acknowledge\x00", []byte("[1]")),
		"a ticket without an end":    sign(linkKey, "acknowledge\x00", []byte(`{"m":"i1"}`)),
		"a ticket with a wrong type": sign(linkKey, "acknowledge\x00", []byte(`{"m":1,"u":"x"}`)),
		"a megabyte":                 strings.Repeat("A", 1<<20),
		"a path upward":              data + "." + mac + "/../../ack",
	}
}

// A link of a message acts for nobody who did not get it, for one incident, for a week, and only when its button is
// pressed. What it names is in no log, and no cache, search engine or other site sees it.
func TestLinksOfMessages(t *testing.T) {
	w, a := newLinkWorld()
	valid := a.Path(notify.Alert{ID: "i1", Opened: w.now})
	forged := forgeries(t, valid)
	for name, token := range forged {
		for _, method := range []string{"GET", "POST"} {
			answer := w.visit(method, "/ack/"+token)
			if answer.Code < 300 || strings.Contains(answer.Body.String(), internalHost) || len(w.acknowledged) > 0 {
				t.Errorf("%s with %s answers %d, and acknowledged %v", method, name, answer.Code, w.acknowledged)
			}
		}
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		for range 3 { // scanners follow links more than once
			w.visit(method, valid)
		}
	}
	if len(w.acknowledged) > 0 {
		t.Fatalf("a request that is no POST acknowledged %v", w.acknowledged)
	}
	h := w.visit("GET", valid).Header()
	for key, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex",
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "frame-ancestors 'none'",
	} {
		if !strings.Contains(h.Get(key), want) {
			t.Errorf("%s is %q, want %q", key, h.Get(key), want)
		}
	}
	w.over = true
	if answer := w.visit("POST", valid); !strings.Contains(answer.Body.String(), "over") || len(w.acknowledged) > 0 {
		t.Errorf("a replay after the end answers %d, and acknowledged %v", answer.Code, w.acknowledged)
	}
	w.over = false
	again := a.Path(notify.Alert{ID: "i1", Round: 1, Opened: w.now})
	if w.visit("POST", again); len(w.acknowledged) > 0 {
		t.Error("the link of another time at which it failed acknowledged it")
	}
	w.now = w.now.Add(7*24*time.Hour + 2*time.Second)
	if answer := w.visit("POST", valid); answer.Code < 400 || len(w.acknowledged) > 0 {
		t.Errorf("an expired link answers %d, and acknowledged %v", answer.Code, w.acknowledged)
	}
	w.now = w.now.Add(-7 * 24 * time.Hour)
	if answer := w.visit("POST", valid); answer.Code != http.StatusOK || !slices.Equal(w.acknowledged, []string{"i1"}) {
		t.Errorf("the valid link answers %d, and acknowledged %v", answer.Code, w.acknowledged)
	}
	for name, token := range forged {
		if len(token) > 20 && strings.Contains(w.log.String(), token) {
			t.Errorf("the log has %s", name)
		}
	}
	if strings.Contains(w.log.String(), strings.TrimPrefix(valid, "/ack/")) {
		t.Errorf("the log has the link: %s", w.log.String())
	}
}

// inbox is an SMTP server that records what it takes.
type inbox struct {
	mu         sync.Mutex
	recipients []string
	messages   [][]byte
}

func (b *inbox) NewSession(*smtp.Conn) (smtp.Session, error) { return b, nil }
func (b *inbox) Mail(string, *smtp.MailOptions) error        { return nil }
func (b *inbox) Reset()                                      {}
func (b *inbox) Logout() error                               { return nil }
func (b *inbox) Rcpt(to string, _ *smtp.RcptOptions) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recipients = append(b.recipients, to)
	return nil
}

func (b *inbox) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, data)
	return err
}

// sender resolves references to themselves: the tests have no secrets.
var sender = channel.Sender{
	Resolve: func(t catalog.SecretText) (secret.Text, error) { return secret.New(t.Text), nil },
	Domain:  "status.example.net",
}

// Names and titles, which people and probed servers may write, cannot add headers, recipients or messages.
func TestHeadersOfMails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	box := &inbox{}
	server := smtp.NewServer(box)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-ended })
	config := &catalog.MailServer{
		Server: catalog.SecretText{Text: "smtp://" + l.Addr().String()}, From: "status@example.net",
	}
	to := catalog.Channel{Name: "mail", Email: []string{"ops@example.net"}}
	for name, evil := range map[string]string{
		"a header":           "NC036\r\nBcc: victim@example.net",
		"a header by LF":     "NC036\nBcc: victim@example.net",
		"a header by CR":     "NC036\rBcc: victim@example.net",
		"a body":             "NC036\r\n\r\nhello",
		"a message":          "NC036\r\n.\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nx\r\n.\r\n",
		"a message by LF":    "NC036\n.\nMAIL FROM:<a@b.example>\nRCPT TO:<victim@example.net>\nDATA\nx\n.\n",
		"an encoded header":  "=?utf-8?q?NC036=0D=0ABcc:_victim@example.net?=",
		"a line separator":   "NC036\u2028Bcc: victim@example.net",
		"another direction":  "NC036 \u202egnp.exe",
		"markup":             `<img src="https://evil.example/x"><script>alert(1)</script>`,
		"a very long line":   strings.Repeat("x", 100_000),
		"bytes without UTF8": "NC036 \xff\xfe",
	} {
		box.mu.Lock()
		box.recipients, box.messages = nil, nil
		box.mu.Unlock()
		subject := evil[:min(len(evil), 300)] // Message.Subject is shorter
		m := channel.Message{ID: "a1", Thread: "a0", Subject: subject, Body: evil + "\nEnd\n", At: time.Now()}
		must(t, sender.Send(t.Context(), config, to, m))
		box.mu.Lock()
		recipients, messages := box.recipients, box.messages
		box.mu.Unlock()
		if !slices.Equal(recipients, []string{"ops@example.net"}) || len(messages) != 1 {
			t.Errorf("%s: %d messages to %v", name, len(messages), recipients)
			continue
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(messages[0]))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for header := range parsed.Header {
			if !slices.Contains(mailHeaders, header) {
				t.Errorf("%s: the header %s is new", name, header)
			}
		}
		if html := htmlPart(t, parsed); strings.Contains(html, "<script") || strings.Contains(html, "<img") ||
			!strings.Contains(html, "<p>") {
			t.Errorf("%s: the HTML part is %.500s", name, html)
		}
	}
}

// htmlPart returns the HTML part of a mail.
func htmlPart(t *testing.T, m *mail.Message) string {
	t.Helper()
	_, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	must(t, err)
	parts := multipart.NewReader(m.Body, parameters["boundary"])
	for {
		part, err := parts.NextPart() // which decodes quoted-printable
		must(t, err)
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			text, err := io.ReadAll(part)
			must(t, err)
			return string(text)
		}
	}
}

var mailHeaders = []string{
	"Date", "Mime-Version", "Message-Id", "Subject", "From", "To", "In-Reply-To", "References", "Auto-Submitted",
	"Content-Type", "Content-Transfer-Encoding",
}

// Whoever records a signed message cannot send it with another id, time or text; and each time has its own signature.
func TestSignaturesOfWebhooks(t *testing.T) {
	const key = "mark-of-the-hook"
	type delivery struct{ id, stamp, signature, body string }
	var got []delivery
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, delivery{
			r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), r.Header.Get("webhook-signature"), string(body),
		})
	}))
	defer receiver.Close()
	hook := catalog.Channel{
		Name: "hook", Webhook: catalog.SecretText{Text: receiver.URL}, Secret: catalog.SecretText{Text: key},
	}
	must(t, sender.Send(t.Context(), nil, hook, channel.Message{ID: "a1", Type: "test", At: time.Now(), Data: "x"}))
	verifies := func(d delivery) bool {
		m := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(m, "%s.%s.%s", d.id, d.stamp, d.body)
		return d.signature == "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil))
	}
	d := got[0]
	if !verifies(d) {
		t.Fatalf("the signature of %+v does not verify", d)
	}
	var when int64
	if _, err := fmt.Sscan(d.stamp, &when); err != nil || time.Since(time.Unix(when, 0)).Abs() > time.Minute {
		t.Errorf("the time is %q: a receiver could not refuse a replay", d.stamp)
	}
	for name, change := range map[string]func(*delivery){
		"another id":   func(d *delivery) { d.id = "a2" },
		"another time": func(d *delivery) { d.stamp += "0" },
		"another text": func(d *delivery) { d.body = strings.Replace(d.body, "x", "y", 1) },
		"moved dots":   func(d *delivery) { d.id, d.stamp = d.id+"."+d.stamp[:1], d.stamp[1:] },
	} {
		changed := d
		if change(&changed); verifies(changed) {
			t.Errorf("%s verifies", name)
		}
	}
	if !json.Valid([]byte(d.body)) {
		t.Errorf("the body is %s", d.body)
	}
}

// A receiver that misbehaves costs one attempt, bounded in time and memory; a redirect is not followed; and no error
// repeats the address, which may be a secret.
func TestReceiversOfWebhooks(t *testing.T) {
	var elsewhere int
	ended := make(chan struct{}) // one that never answers waits for this
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	endless := func(w http.ResponseWriter, r *http.Request, pause time.Duration) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client has gone
		for chunk := bytes.Repeat([]byte("x"), 32<<10); r.Context().Err() == nil; time.Sleep(pause) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		taken  bool
	}{
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/stolen", http.StatusTemporaryRedirect)
		}, false},
		"an answer without an end": {func(w http.ResponseWriter, r *http.Request) { endless(w, r, 0) }, true},
		"headers without an end": {func(w http.ResponseWriter, _ *http.Request) {
			for n := range 300 {
				w.Header().Set(fmt.Sprintf("x-%d", n), strings.Repeat("x", 1000))
			}
		}, false},
		"no answer": {func(http.ResponseWriter, *http.Request) { <-ended }, false},
		"an error": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte("s3cret"))
		}, false},
		"no HTTP": {func(w http.ResponseWriter, _ *http.Request) {
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = c.Write([]byte("220 mail.example.net ESMTP\r\n"))
				c.Close()
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			receiver := httptest.NewServer(test.answer)
			defer receiver.Close()
			defer receiver.CloseClientConnections()
			wait := time.Minute
			if name == "no answer" {
				wait = 2 * time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			hook := catalog.Channel{Name: "hook", Webhook: catalog.SecretText{Text: receiver.URL + "/mark-of-the-path"}}
			err := sender.Send(ctx, nil, hook, channel.Message{ID: "a1", Type: "test", At: time.Now()})
			if name == "no answer" {
				close(ended)
			}
			if (err == nil) != test.taken {
				t.Error(err)
			}
			if err != nil && (strings.Contains(err.Error(), "mark-of-the-path") || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("the error repeats the address or the answer: %v", err)
			}
		})
	}
	if elsewhere > 0 {
		t.Error("a redirect was followed")
	}
	refused := catalog.Channel{Name: "hook", Webhook: catalog.SecretText{Text: "http://127.0.0.1:1/mark-of-the-path"}}
	err := sender.Send(t.Context(), nil, refused, channel.Message{ID: "a1", At: time.Now()})
	if err == nil || strings.Contains(err.Error(), "mark-of-the-path") || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a closed port: %v", err)
	}
}
