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

// publishers are the accounts that shoutrrr does not know, by the schemes of their addresses.
var publishers = map[string]publisher{
	mastodon: {mastodonProblem, publishStatus},
	bluesky:  {blueskyProblem, publishPost},
}

// publisher publishes what is announced at an account. Its errors repeat nothing of the address.
type publisher struct {
	problem func(account *url.URL) error // why nothing can be published there
	publish func(ctx context.Context, account *url.URL, m Message) error
}

// server returns where an account's server is. As with shoutrrr's services, ?disabletls=yes is for servers in a private
// network.
func server(account *url.URL) string {
	if account.Query().Get("disabletls") == "yes" {
		return "http://" + account.Host
	}
	return "https://" + account.Host
}

// onlyHost reports an address that has no host, or more than the host, after the secret.
func onlyHost(account *url.URL) error {
	if account.Hostname() == "" || strings.Trim(account.Path, "/") != "" {
		return errors.New("the url has not just a host after the secret")
	}
	return nil
}

// call sends a request to an account's server, and returns what that answered.
func call(r *http.Request) ([]byte, error) {
	r.Header.Set("User-Agent", "probemesh")
	answer, err := client.Do(r)
	if err != nil {
		var inURL *url.Error
		if errors.As(err, &inURL) {
			err = inURL.Err
		}
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, answerMax)) // whole, so that the connection can be used again
	if answer.StatusCode != http.StatusOK {
		return nil, statusError(answer.StatusCode)
	}
	return body, err
}

// statusError is a status of HTTP that refuses a request.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("the server answered with status %d", int(e)) }
