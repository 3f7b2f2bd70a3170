package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/errkind"
)

// linkValid is how long a link works.
const linkValid = 7 * 24 * time.Hour

// Acknowledger makes links that acknowledge one alert, and answers them. A GET shows a button and acts on nothing:
// mail scanners follow links.
type Acknowledger struct {
	// Key signs the links. Whoever has it can acknowledge.
	Key []byte
	// Acknowledge acknowledges an alert in one of its rounds.
	Acknowledge func(r *http.Request, id string, round int) error
	// Title returns what a holder of a valid link reads about an alert; false if it is not known any more.
	Title func(r *http.Request, id string) (title string, over, acknowledged, ok bool)
	Now   func() time.Time
}

// ticket is what a link says.
type ticket struct {
	Alert string `json:"m"`
	Round int    `json:"r,omitempty"`
	Until int64  `json:"u"` // seconds since 1970
}

// encoding accepts one spelling of each link alone.
var encoding = base64.RawURLEncoding.Strict()

// Path returns the path of the link that acknowledges an alert.
func (a *Acknowledger) Path(m Alert) string {
	data, _ := json.Marshal(ticket{m.ID, m.Round, m.Opened.Add(linkValid).Unix()}) // a struct of texts and numbers
	return web.SecretPrefix + encoding.EncodeToString(data) + "." + encoding.EncodeToString(a.mac(data))
}

func (a *Acknowledger) mac(data []byte) []byte {
	mac := hmac.New(sha256.New, a.Key)
	mac.Write([]byte("acknowledge\x00"))
	mac.Write(data)
	return mac.Sum(nil)
}

var errLink = web.Errorf(
	http.StatusNotFound,
	"%s", command.WithProgramNames("This link is not valid, or has expired. Use `coordinator ack INCIDENT`."),
)

// open returns what a link says, if this coordinator made it.
func (a *Acknowledger) open(token string) (t ticket, err error) {
	first, second, _ := strings.Cut(token, ".")
	data, errData := encoding.DecodeString(first)
	mac, errMAC := encoding.DecodeString(second)
	// The decoder skips line breaks, which would be further spellings.
	breaks := strings.ContainsAny(token, "\r\n")
	if errors.Join(errData, errMAC) != nil || breaks || !hmac.Equal(mac, a.mac(data)) || json.Unmarshal(data, &t) != nil ||
		a.Now().Unix() > t.Until {
		return t, errLink
	}
	return t, nil
}

// Routes lists the addresses of links.
func (a *Acknowledger) Routes() []web.Route {
	return []web.Route{
		{Pattern: "GET " + web.SecretPrefix + "{token}", Handler: a.show},
		{Pattern: "POST " + web.SecretPrefix + "{token}", Handler: a.act},
	}
}

var linkTemplate = template.Must(template.New("").Parse(`<div class="banner {{.Class}}"><div><h1>{{.Title}}</h1>
<p>{{.Says}}</p></div></div>
{{if .Button}}<form method="post"><button class="large" autofocus>Acknowledge: I am working on it</button></form>
<p class="soft">This stops reminders and escalations. Clients do not see it.</p>{{end}}`))

// linkPage is the page of a link.
type linkPage struct {
	web.Look
	Title, Says string
	Button      bool
}

func (a *Acknowledger) show(w http.ResponseWriter, r *http.Request) error {
	t, err := a.open(r.PathValue("token"))
	if err != nil {
		return err
	}
	title, over, acknowledged, ok := a.Title(r, t.Alert)
	if !ok {
		return errLink
	}
	page := linkPage{Look: web.OutOfDateLook(), Title: title, Says: "Nobody has acknowledged it yet.", Button: true}
	switch {
	case over:
		page.Says, page.Button = "It is over.", false
	case acknowledged:
		page.Says, page.Button = "Somebody has acknowledged it already.", false
	}
	return a.write(w, page)
}

func (a *Acknowledger) act(w http.ResponseWriter, r *http.Request) error {
	t, err := a.open(r.PathValue("token"))
	if err != nil {
		return err
	}
	title, _, _, ok := a.Title(r, t.Alert)
	if !ok {
		return errLink
	}
	if err := a.Acknowledge(r, t.Alert, t.Round); err != nil {
		if errkind.Of(err) == errkind.Conflict {
			return a.write(w, linkPage{Look: web.ResolvedLook(), Title: title, Says: "It is over."})
		}
		return err
	}
	return a.write(w, linkPage{Look: web.ResolvedLook(), Title: title, Says: "Acknowledged. Thank you."})
}

// write answers with the page, which no cache, search engine or other site may see.
func (a *Acknowledger) write(w http.ResponseWriter, page linkPage) error {
	body, err := web.Render(linkTemplate, "", page)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("X-Robots-Tag", "noindex, nofollow")
	layout := web.Layout{Title: "Acknowledge", Brand: "Status", Class: page.Class, At: a.Now(), Body: body, Private: true}
	return layout.Write(w, http.StatusOK)
}
