package admin

import (
	"net/http"
	"net/url"
)

// sitePath is the path below which the socket answers with the public site.
const sitePath = "/site"

// Site returns the address of the public site for the HTTP client that it returns too. That does not follow redirects,
// and its errors explain why the coordinator cannot be reached.
func Site(c *Client) (*url.URL, *http.Client) {
	transport := c.http.Transport.(*http.Transport).Clone()
	transport.DisableKeepAlives = false // a copy sends hundreds of requests
	return &url.URL{Scheme: "http", Host: "coordinator", Path: sitePath}, &http.Client{
		Transport: siteTransport{c, transport}, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

type siteTransport struct {
	client *Client
	http   *http.Transport
}

// RoundTrip sends a request.
func (t siteTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.http.RoundTrip(r)
	if err != nil {
		err = t.client.connectError(err)
	}
	return res, err
}
