package channel

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// mastodon://TOKEN@HOST is an account at Mastodon. The token may write statuses.
const mastodon = "mastodon"

func mastodonProblem(account *url.URL) error {
	if account.User.Username() == "" {
		return errors.New("the url has no token")
	}
	return onlyHost(account)
}

// publishStatus publishes the message as a status. The server drops another one with the same id.
func publishStatus(ctx context.Context, account *url.URL, m Message) error {
	form := url.Values{"status": {m.Body}}.Encode()
	r, err := http.NewRequestWithContext(
		ctx, http.MethodPost, server(account)+"/api/v1/statuses", strings.NewReader(form),
	)
	if err != nil {
		return errors.New("the url has no usable host")
	}
	r.Header.Set("Authorization", "Bearer "+account.User.Username())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Idempotency-Key", m.ID)
	_, err = call(r)
	return err
}
