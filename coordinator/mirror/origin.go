// Package mirror copies a public status site: it reads every document of the site over HTTP, knows which addresses a
// copy has, and marks copied pages with their age. Packages export and replica keep such copies.
//
// Nothing that the site answers is trusted: documents, links and times are bounded, and only addresses of the public
// site are asked for, whatever its pages link to.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Origin is the site that is copied.
type Origin struct {
	Base   *url.URL // of the site, without a slash at its end
	Client *http.Client
	Pace   time.Duration // between two requests, so that the site answers its readers too
}

// Document is what the site answers at one address.
type Document struct {
	Address  string // the path, and for later pages of lists the query
	Type     string // its media type
	ETag     string
	Body     []byte
	Location string // the address that it redirects to; then it has no body
}

const (
	// documentMax is in bytes. The longest are sitemaps and the history of a large site.
	documentMax = 8 << 20
	requestWait = 30 * time.Second
	etagMax     = 200
	// retries bounds how often a request is repeated that the site answered with 429 or 503.
	retries   = 5
	retryWait = time.Second
	retryMax  = 10 * time.Second
)

var (
	errGone        = errors.New("no such document")
	errNotModified = errors.New("not modified")
	// errDocument is wrapped by errors of one document; with others, nothing can be read at the moment.
	errDocument = errors.New("cannot be copied")
)

// fetch reads a document, unless it still has the validator: then it returns errNotModified.
func (o *Origin) fetch(ctx context.Context, address, etag string) (Document, error) {
	for try := 0; ; try++ {
		d, wait, err := o.ask(ctx, address, etag)
		if wait == 0 || try == retries {
			return d, err
		}
		select {
		case <-ctx.Done():
			return d, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// ask sends one request. A wait above zero means that the site is busy: it is how long to pause before a retry.
func (o *Origin) ask(ctx context.Context, address, etag string) (_ Document, wait time.Duration, _ error) {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.Base.String()+address, nil)
	if err != nil {
		return Document{}, 0, fmt.Errorf("%s %w: %w", address, errDocument, err)
	}
	r.Header.Set("User-Agent", "probemesh-mirror")
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	res, err := o.Client.Do(r)
	if err != nil {
		return Document{}, 0, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		d, err := read(address, res)
		return d, 0, err
	case http.StatusNotModified:
		return Document{}, 0, errNotModified
	case http.StatusNotFound, http.StatusGone:
		return Document{}, 0, errGone
	case http.StatusMovedPermanently, http.StatusFound:
		to, ok := Internal(res.Header.Get("Location"), o.Base)
		if !ok {
			return Document{}, 0, fmt.Errorf("%s %w: it redirects to another site", address, errDocument)
		}
		return Document{Address: address, Location: to}, 0, nil
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		wait = retryWait
		if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
			wait = min(time.Duration(s)*time.Second, retryMax)
		}
	}
	return Document{}, wait, fmt.Errorf("%s %w: the site answers %d", address, errDocument, res.StatusCode)
}

// read reads the answer to a request for an address.
func read(address string, res *http.Response) (Document, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, documentMax+1))
	if err != nil {
		return Document{}, err
	}
	if len(body) > documentMax {
		return Document{}, fmt.Errorf("%s %w: it has more than %d bytes", address, errDocument, documentMax)
	}
	d := Document{Address: address, Body: body}
	if d.Type, _, err = mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || !knownTypes[d.Type] {
		return Document{}, fmt.Errorf("%s %w: it is %q", address, errDocument, res.Header.Get("Content-Type"))
	}
	if d.ETag = res.Header.Get("ETag"); len(d.ETag) > etagMax {
		d.ETag = ""
	}
	return d, nil
}

// knownTypes are the media types of the site's documents.
var knownTypes = map[string]bool{
	pageType: true, "text/plain": true, "text/calendar": true, "text/javascript": true, "text/css": true,
	"image/svg+xml": true, "image/png": true, "application/json": true, "application/xml": true,
	"application/rss+xml": true, "application/atom+xml": true, "application/feed+json": true,
}

const pageType = "text/html"

// IsPage reports whether the document is a page for people.
func (d Document) IsPage() bool { return d.Type == pageType }

// headerMax bounds the header of an answer in bytes.
const headerMax = 64 << 10

// NewClient returns a client for the requests of an Origin. It does not follow redirects: they are documents too.
func NewClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = headerMax
	transport.ResponseHeaderTimeout = requestWait
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}
