package channel

import (
	"context"
	"errors"
	"net/url"

	"github.com/nicholas-fedor/shoutrrr"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// service sends the message through shoutrrr. Its errors are not repeated: they may have the address, and with it a
// token.
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
	router, err := shoutrrr.CreateSender(text.Reveal())
	if err != nil {
		return errors.New("shoutrrr does not know the address")
	}
	sent := make(chan []error, 1) // shoutrrr knows no contexts; its own timeout ends the attempt
	go func() { sent <- router.Send(m.Body, &types.Params{"title": m.Subject}) }()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case failures := <-sent:
		if errors.Join(failures...) != nil {
			return errors.New("the service did not take the message")
		}
		return nil
	}
}
