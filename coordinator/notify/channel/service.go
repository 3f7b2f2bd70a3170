package channel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/nicholas-fedor/shoutrrr"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/secret"
)

// service sends the message through shoutrrr, or to an account of a publisher. Errors of shoutrrr are not repeated:
// they may have the address, and with it a token.
func (s Sender) service(ctx context.Context, address catalog.SecretText, m Message) error {
	text, err := s.Resolve(address)
	if err != nil {
		return err
	}
	if account, err := url.Parse(text.Reveal()); err == nil {
		if p, known := publishers[account.Scheme]; known {
			if err := p.problem(account); err != nil {
				return err
			}
			return p.publish(ctx, account, m)
		}
	}
	if n := unended.count(text.Reveal()); n >= unendedMax {
		return fmt.Errorf("%d earlier attempts have not ended: the service accepts connections and does not answer", n)
	}
	sent := make(chan error, 1) // so that an attempt which ends late does not wait for a reader
	go func() { sent <- sendThroughShoutrrr(text, m) }()
	select {
	case <-ctx.Done():
		unended.add(text.Reveal(), 1)
		go func() { <-sent; unended.add(text.Reveal(), -1) }()
		return ctx.Err()
	case err := <-sent:
		return err
	}
}

// sendThroughShoutrrr does not use shoutrrr's router to send: where a service takes longer than the router's timeout,
// the router leaves a goroutine that never ends.
func sendThroughShoutrrr(address secret.Text, m Message) error {
	router, err := shoutrrr.CreateSender()
	if err != nil {
		return errors.New("shoutrrr does not start")
	}
	service, err := router.Locate(address.Reveal()) // some services sign in here
	if err != nil {
		return errors.New("shoutrrr does not know the address, or the service refused to sign in")
	}
	if service.Send(m.Body, &types.Params{"title": m.Subject}) != nil {
		return errors.New("the service did not take the message")
	}
	return nil
}

// LimitDefaultClient bounds every request of http.DefaultClient. Most services of shoutrrr use that client, know no
// contexts and set no timeout: a server that accepts a connection and never answers would occupy a goroutine and a
// connection for each attempt, without end. A program that sends through channels calls it once at its start, with
// Timeout, before anything uses the client.
func LimitDefaultClient(timeout time.Duration) { http.DefaultClient.Timeout = timeout }

// unendedMax bounds the attempts at one address that go on after their time. Services that use no HTTP client, such as
// shoutrrr's smtp, have no timeout that ends them.
const unendedMax = 8

// unended counts such attempts.
var unended = attempts{by: map[string]int{}}

// attempts counts attempts by address. It is safe for concurrent use.
type attempts struct {
	mu sync.Mutex
	by map[string]int
}

func (a *attempts) count(address string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.by[address]
}

func (a *attempts) add(address string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by[address] += n; a.by[address] == 0 {
		delete(a.by, address)
	}
}
