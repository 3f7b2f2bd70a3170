package node

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/catalogs"
	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/coordinator/notify/channel"
	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/privatefile"
	"github.com/probemesh/probemesh/pkg/sla"
)

// linkKeyName is the file of the key that signs links which acknowledge.
const linkKeyName = "acknowledge.key"

// announcedEntries is how many of the newest public updates are looked through for news.
const announcedEntries = 50

// openNotifier adds what sends notifications about incidents and advisories.
func openNotifier(n *Node) error {
	key, err := privatefile.Key(filepath.Join(n.config.Data, linkKeyName))
	if err != nil {
		return err
	}
	wall := func() time.Time {
		at, offset := n.core.Clock.Now()
		return at.Add(-offset)
	}
	public := web.NewView(n.source(), web.Public)
	n.acknowledger = &notify.Acknowledger{Key: key, Now: wall}
	n.notifier = notify.New(notify.Config{
		Catalog:   n.core.Catalogs.Current,
		Snapshot:  func() *mesh.Snapshot { _, s := n.core.Engine.Current(); return s },
		Incidents: n.core.History.Incidents, Warnings: n.core.Warnings.Each, Sent: n.view.Notified().Since,
		Append: operators.Journal{Ledger: n.ledger}.Append, Clock: n.core.Clock.Now, Changed: n.core.Engine.Changed,
		Send: func(ctx context.Context, server *catalog.MailServer, c catalog.Channel, m channel.Message) error {
			s := channel.Sender{Resolve: catalogs.Resolver(n.core.Catalogs), Domain: mailDomain(n)}
			return s.Send(ctx, server, c, m)
		},
		Links: func(m notify.Alert) notify.Links { return messageLinks(n, m) },
		Public: func(ctx context.Context) ([]archive.Entry, error) {
			return public.Archive().Latest(ctx, archive.Query{}, announcedEntries)
		},
		Base: func() string { return n.core.Catalogs.Current().Page.URL },
		Pauses: func(ctx context.Context, since time.Time) ([]sla.Window, error) {
			at, offset := n.core.Clock.Now()
			out, err := n.view.Periods().Pauses(ctx, since.Add(offset), at)
			for i := range out {
				out[i].From, out[i].To = out[i].From.Add(-offset), out[i].To.Add(-offset)
			}
			return out, err
		},
		Warn: n.core.Warnings.Warn, Logger: n.logger("notify"),
	})
	n.acknowledger.Acknowledge = func(r *http.Request, id string, round int) error {
		ctx := operators.With(r.Context(), operators.Actor{ID: "link"})
		return n.notifier.AcknowledgeRound(ctx, id, round, "link")
	}
	n.acknowledger.Title = func(r *http.Request, id string) (string, bool, bool, bool) {
		return n.notifier.Title(r.Context(), id)
	}
	n.tasks = append(n.tasks, n.notifier.Run)
	return nil
}

// messageLinks are what a message leads to: the operators' view, else the public page, which has no page of what is not
// public. Without either it names the command.
func messageLinks(n *Node, m notify.Alert) notify.Links {
	base := strings.TrimSuffix(cmp.Or(n.config.ConsoleURL, n.core.Catalogs.Current().Page.URL), "/")
	l := notify.Links{Acknowledge: command.ProgramName("coordinator") + " ack " + m.ID}
	if base == "" {
		return l
	}
	l.Acknowledge = base + n.acknowledger.Path(m)
	if m.Advisory == "" && (m.Public || n.config.ConsoleURL != "") {
		l.Page = base + "/incidents/" + m.Incident()
	}
	return l
}

// mailDomain is the right part of e-mails' ids, and the name that mail servers are greeted with: the host of the page's
// address, which may be in the catalog only some time after the start.
func mailDomain(n *Node) string {
	u, err := url.Parse(n.core.Catalogs.Current().Page.URL)
	if err != nil || u.Hostname() == "" {
		return "probemesh.invalid"
	}
	return u.Hostname()
}
