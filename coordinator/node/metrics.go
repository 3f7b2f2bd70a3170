package node

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/coordinator/operators"
)

// notifications is how the channels do, and what is wrong with the mesh itself.
func notifications(ctx context.Context, n *Node) (out console.Notifications, err error) {
	all, err := n.notifier.Deliveries(ctx)
	for _, d := range all {
		out.Channels = append(out.Channels, console.ChannelState{
			Name: d.Channel, Sent: d.Sent, Failed: d.Failed, Waiting: d.Waiting,
		})
	}
	out.Advisories = notify.Advisories(n.core.Warnings.Each())
	return out, err
}

// consoleConfig configures the operators' view.
func consoleConfig(n *Node, site http.Handler) console.Config {
	c := console.Config{
		Source: consoleSource{n.source(), n.core.Health, n.core.Warnings}, Past: n.core.Replayer,
		Records: consoleRecords{n.view}, Site: site, Disk: n.disk,
		Notifications:  func(ctx context.Context) (console.Notifications, error) { return notifications(ctx, n) },
		Certificates:   func(now time.Time) []health.Certificate { return certificates(n, now) },
		CredentialEnds: func() map[string]time.Time { return credentialEnds(n) },
		Version:        n.config.Version, Logger: n.logger("console"),
	}
	if u, err := url.Parse(n.config.ConsoleURL); err == nil && u.Hostname() != "" {
		c.Names = []string{u.Hostname()}
	}
	return c
}

// tokenReader is what a metrics address needs of the tokens.
type tokenReader interface {
	Authenticate(token string) (t operators.Token, known bool, err error)
}

// metricsHandler answers GET /metrics for readers with a token, and nothing else.
func metricsHandler(tokens tokenReader, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		t, known, err := operators.Token{}, false, error(nil)
		if strings.EqualFold(scheme, "Bearer") {
			t, known, err = tokens.Authenticate(strings.TrimSpace(token))
		}
		switch {
		case err != nil:
			h.Set("Retry-After", "1")
			http.Error(w, err.Error(), http.StatusTooManyRequests)
		case !known:
			h.Set("WWW-Authenticate", `Bearer realm="probemesh"`)
			http.Error(w, "send \"Authorization: Bearer TOKEN\" with a token of `coordinator token add NAME --scope read`",
				http.StatusUnauthorized)
		case !t.Scope.Permits(operators.Read):
			http.Error(w, "the token does not permit reading", http.StatusForbidden)
		default:
			metrics.ServeHTTP(w, r)
		}
	})
	return mux
}
