package channel

import (
	"encoding/base64"
	"errors"
	"io"
	"log"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/nicholas-fedor/shoutrrr"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/secret"
)

// forms are how the addresses of services are written: those of shoutrrr that deliver to somebody, and of the
// publishers.
var forms = map[string]string{
	"bark":       "bark://KEY@HOST",
	bluesky:      "bluesky://HANDLE:APP-PASSWORD@HOST",
	"discord":    "discord://TOKEN@WEBHOOK",
	"generic":    "generic+https://HOST/PATH",
	"googlechat": "googlechat://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN",
	"gotify":     "gotify://HOST/TOKEN",
	"hangouts":   "hangouts://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN",
	"ifttt":      "ifttt://KEY/?events=EVENT",
	"join":       "join://shoutrrr:KEY@join/?devices=DEVICE",
	"lark":       "lark://open.larksuite.com/TOKEN",
	mastodon:     "mastodon://TOKEN@HOST",
	"matrix":     "matrix://USER:PASSWORD@HOST/?rooms=ROOM",
	"mattermost": "mattermost://HOST/TOKEN",
	"notifiarr":  "notifiarr://KEY",
	"ntfy":       "ntfy://ntfy.sh/TOPIC",
	"opsgenie":   "opsgenie://api.opsgenie.com/KEY",
	"pagerduty":  "pagerduty://events.pagerduty.com/KEY",
	"pushbullet": "pushbullet://TOKEN",
	"pushover":   "pushover://shoutrrr:TOKEN@USER",
	"rocketchat": "rocketchat://HOST/TOKEN/CHANNEL",
	"signal":     "signal://HOST:PORT/SENDER/RECIPIENT",
	"slack":      "slack://hook:TOKEN@webhook",
	"smtp":       "smtp://USER:PASSWORD@HOST:PORT/?from=ADDRESS&to=ADDRESS",
	"teams":      "teams://GROUP@TENANT/ALTID/OWNER?host=ORGANIZATION.webhook.office.com",
	"telegram":   "telegram://TOKEN@telegram?chats=CHAT",
	"wecom":      "wecom://KEY",
	"zulip":      "zulip://BOT:KEY@HOST/?stream=STREAM",
}

// Problem returns why nothing can be sent with the value of a key of a channel, of an account or of the mail server,
// and how to mend it; "" if the value may work. It connects to nothing. The texts have no part of the value, which may
// be a secret.
func Problem(key string, value secret.Text) (what, mend string) {
	text := value.Reveal()
	switch key {
	case "url":
		return serviceProblem(text)
	case "webhook":
		if _, _, _, err := address.ParseURL(text); err != nil { // the error repeats the host
			return "the webhook's address is not usable", "write it as in https://hooks.example.net/path"
		}
	case "server":
		if _, _, err := mailAddress(text); err != nil {
			return err.Error(), "write smtp://HOST:PORT, smtp+starttls://HOST:PORT or smtps://HOST:PORT"
		}
	case "secret":
		if _, err := signingKey(text); err != nil {
			return err.Error(), "copy it whole, or write a secret without whsec_"
		}
	}
	return "", ""
}

// serviceProblem is Problem for the address of a service.
func serviceProblem(text string) (what, mend string) {
	u, err := url.Parse(text)
	if err != nil {
		return "the url cannot be parsed", "write it as in " + forms["ntfy"] +
			", with special characters in it as %XX"
	}
	service, _, _ := strings.Cut(strings.ToLower(u.Scheme), "+")
	form, known := forms[service]
	switch {
	case !known:
		return "the url names no service that can be sent to",
			"begin it with one of " + strings.Join(slices.Sorted(maps.Keys(forms)), ", ") + ", as in " + forms["ntfy"]
	case publishers[u.Scheme].problem != nil:
		if err := publishers[u.Scheme].problem(u); err != nil {
			return err.Error(), "write it as " + form
		}
		return "", ""
	case u.Hostname() == "" && !slices.Contains(hostless, service): // shoutrrr accepts some, and cannot send
		return incomplete(service)
	case service == "matrix" && u.User.Username() != "":
		// With a user, the service would log in at once. A token in its place has the rest checked.
		password, _ := u.User.Password()
		u.User = url.UserPassword("", password)
		text = u.String()
	}
	if _, err := shoutrrr.NewSender(log.New(io.Discard, "", 0), text); err != nil { // the error repeats the address
		return incomplete(service)
	}
	return "", ""
}

// hostless are the services whose host has a default.
var hostless = []string{"opsgenie", "pagerduty"}

func incomplete(service string) (what, mend string) {
	return "the url is not a complete address of the service " + service, "write it as " + forms[service]
}

// mailAddress parses the address of a mail server. Its errors do not repeat the address, which may have a password.
func mailAddress(text string) (u *url.URL, port int, err error) {
	u, err = url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return nil, 0, errors.New("the mail server's address is not usable")
	}
	ports := map[string]int{"smtp": 25, "smtp+starttls": 587, "smtps": 465}
	port, known := ports[u.Scheme]
	if !known {
		return nil, 0, errors.New("the mail server's address is not one of smtp, smtp+starttls or smtps")
	}
	if u.Port() != "" {
		if port, err = address.ParsePort(u.Port()); err != nil {
			return nil, 0, errors.New("the mail server's port is not a number from 1 to 65535")
		}
	}
	return u, port, nil
}

// signingKey returns the key in the secret of a webhook. A secret without the prefix is used as it is.
func signingKey(text string) ([]byte, error) {
	encoded, prefixed := strings.CutPrefix(text, "whsec_")
	if !prefixed {
		return []byte(text), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return nil, errors.New("the secret after whsec_ is not base64")
	}
	return key, nil
}
