package channel

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// However often messages are tried, an account signs in fewer than 300 times a day, also where each sign-in or each
// post is refused.
func TestADayOfRefusals(t *testing.T) {
	for _, refused := range []string{"createSession", "putRecord"} {
		signIns := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "createSession") {
				signIns++
			}
			if strings.HasSuffix(r.URL.Path, refused) {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = w.Write([]byte(`{"accessJwt": "a-jwt", "did": "did:plc:abc"}`))
		}))
		now := time.Unix(1e9, 0)
		all := newSessions(func() time.Time { return now })
		before := blueskySessions
		blueskySessions = all
		host := strings.TrimPrefix(server.URL, "http://")
		account, err := url.Parse("bluesky://a.example:secret@" + host + "?disabletls=yes")
		if err != nil {
			t.Fatal(err)
		}
		for range 24 * 60 {
			if publishPost(t.Context(), account, Message{ID: "m1", At: now}) == nil {
				t.Error("a refused post was published")
			}
			now = now.Add(time.Minute)
		}
		if blueskySessions = before; signIns < 200 || signIns >= 300 {
			t.Errorf("%d sign-ins a day while %s is refused", signIns, refused)
		}
		server.Close()
	}
}
