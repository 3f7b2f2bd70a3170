package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// mastodon is a service that shoutrrr does not know: mastodon://TOKEN@HOST, where the token may write statuses.
const mastodon = "mastodon"

// mastodonAccount returns where statuses of an account are published, and the account's token. As with shoutrrr's
// services, ?disabletls=yes is for servers in a private network.
func mastodonAccount(u *url.URL) (endpoint, token string, err error) {
	if token = u.User.Username(); token == "" {
		return "", "", errors.New("the url has no token")
	}
	if u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
		return "", "", errors.New("the url has not just a host after the token")
	}
	scheme := "https"
	if u.Query().Get("disabletls") == "yes" {
		scheme = "http"
	}
	return scheme + "://" + u.Host + "/api/v1/statuses", token, nil
}

// publish publishes the message as a status. The server drops another one with the same id.
func (s Sender) publish(ctx context.Context, account *url.URL, m Message) error {
	endpoint, token, err := mastodonAccount(account)
	if err != nil {
		return err
	}
	form := url.Values{"status": {m.Body}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form))
	if err != nil {
		return errors.New("the url has no usable host")
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Idempotency-Key", m.ID)
	r.Header.Set("User-Agent", "probemesh")
	answer, err := client.Do(r)
	if err != nil {
		var inURL *url.Error
		if errors.As(err, &inURL) {
			err = inURL.Err
		}
		return err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, answerMax)) // so that the connection can be used again
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered with status %d", answer.StatusCode)
	}
	return nil
}
