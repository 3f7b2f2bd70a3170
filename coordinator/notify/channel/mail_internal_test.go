package channel

import (
	"strings"
	"testing"
)

// The HTML part has the lines of the text part; a link is its label, which fits a phone, and nothing in it is markup.
func TestHTMLPart(t *testing.T) {
	token := strings.Repeat("x", 200)
	got := htmlBody(Message{
		Subject: "DOWN <b>NC036</b>", Body: "Sending mail stopped.\nAcknowledge: https://a.example/ack/" + token + "\n" +
			"Still works: Reading mail\nIncident: javascript:alert(1)\n",
	})
	for _, want := range []string{
		"<h1 style=\"font-size:1.15em\">DOWN &lt;b&gt;NC036&lt;/b&gt;</h1>", "<p>Sending mail stopped.</p>",
		"<p><a href=\"https://a.example/ack/" + token + "\">Acknowledge</a></p>", "<p>Still works: Reading mail</p>",
		"<p>Incident: javascript:alert(1)</p>", "width=device-width", "overflow-wrap:anywhere",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the HTML part lacks %s:\n%s", want, got)
		}
	}
}
