package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// headersMax bounds the bytes of a response's headers, which net/http reads into memory: see exchangeBytes.
const headersMax = 1 << 16

// http requests the check's URL from the address, over a new connection: a reused one would hide a server that no
// longer accepts. The URL gives the port, the path, the Host header and the expected name of the certificate. A
// redirect is a response like others and never followed, since it may lead to another host or outside the allow-list.
func (a *attempt) http(ctx context.Context, ip netip.Addr, o catalog.HTTP) Result {
	u, _, port, err := address.ParseURL(o.URL)
	if err != nil {
		return inconclusive("the check's URL cannot be used: " + err.Error())
	}
	conn, err := a.dial(ctx, ip, port)
	if err != nil {
		return classify(err)
	}
	defer conn.Close()
	return a.withMemory(conn, func() Result { return a.fetch(u, o, conn) })
}

// withMemory runs an exchange over the connection once there is memory for it.
func (a *attempt) withMemory(conn *connection, exchange func() Result) Result {
	waitBegan := time.Now()
	release, waited, err := a.target.Memory.exchange(a.exchangeCtx)
	if err != nil {
		return inconclusive(err.Error())
	}
	defer release()
	conn.began = conn.began.Add(time.Since(waitBegan)) // the wait for memory does not count as the server's time
	result := exchange()
	if waited && !result.Outcome.Good() && errors.Is(a.exchangeCtx.Err(), context.DeadlineExceeded) {
		return inconclusive(errMemory.Error()) // our wait took part of the time in which the server had to answer
	}
	return result
}

// fetch makes the request over the connection and compares the response with the check.
func (a *attempt) fetch(u *url.URL, o catalog.HTTP, conn *connection) Result {
	counted := &countingConn{Conn: conn.Conn}
	response, err := a.request(a.exchangeCtx, u, counted)
	found := Result{Outcome: mesh.Reachable, Connect: conn.connect}
	if err != nil {
		return a.transportFailure(found, counted, err)
	}
	defer response.Body.Close()
	found.RTT = time.Since(conn.began)
	return a.checkResponse(found, o, response)
}

// request sends the request over an established connection and reads the response's headers. The caller closes the
// response's body.
func (a *attempt) request(ctx context.Context, u *url.URL, conn net.Conn) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", a.target.userAgent())
	transport := &http.Transport{
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: headersMax,
	}
	return transport.RoundTrip(request)
}

// userAgent names the program, the agent and the mesh's page, so that an operator who finds the probes in a server's
// log can find out who sends them. A page that does not parse as a URL is left out: a header must stay one line.
func (t Target) userAgent() string {
	name := "probemesh/" + cmp.Or(t.Version, "devel") + " (agent " + t.Agent
	if u, err := url.Parse(t.Page); err == nil && u.Host != "" {
		name += "; +" + u.String()
	}
	return name + ")"
}

// transportFailure classifies the error of a request over an established connection. The reason distinguishes a server
// that sent nothing from one that began to answer: the first often has no free worker, the second a slow backend.
func (a *attempt) transportFailure(found Result, conn *countingConn, err error) Result {
	if a.exchangeCtx.Err() == context.Canceled {
		return inconclusive("cancelled")
	}
	if certificate, ok := classifyCertificate(err, time.Now()); ok {
		return certificate
	}
	timeout := seconds(a.target.Check.Timeout)
	switch late := isLate(err); {
	case late && conn.received.Load() == 0:
		return found.fail("hung: accepted and said nothing for " + timeout)
	case late:
		return found.fail("hung: answer not finished after " + timeout)
	case isClosed(err) && conn.received.Load() == 0:
		return found.fail("closed without an answer")
	case isClosed(err):
		return found.fail("answer cut short")
	}
	return found.fail("malformed answer: " + malformedPart(err))
}

// malformedPart returns what net/http could not parse, without the text that the server sent. That text follows a
// quotation mark or colon in net/http's messages; it may contain secrets and is not shown.
func malformedPart(err error) string {
	text := err.Error()
	for _, prefix := range []string{"net/http: ", "HTTP/1.x transport connection broken: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	if i := strings.IndexAny(text, "\":"); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSpace(text)
}

// isLate reports whether the exchange's time was over. Which of the two errors is returned depends on whether net/http
// or the connection noticed first.
func isLate(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// isClosed reports whether the server closed the connection, in order or by a reset.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// checkResponse compares a response with what the check requires, the status first since it costs less than the body.
func (a *attempt) checkResponse(found Result, o catalog.HTTP, response *http.Response) Result {
	if wanted := o.ExpectedStatus(); response.StatusCode != wanted {
		return found.fail(statusReason(response, wanted, a.target.hasSecrets()))
	}
	if response.TLS != nil {
		found.Expiry = expiresSoon(response.TLS, o.CertificateDays, time.Now())
	}
	if o.Body == "" {
		return found
	}
	contains, err := bodyContains(response, o.Body)
	var unknown *unknownEncodingError
	switch {
	case contains:
		return found
	case a.exchangeCtx.Err() == context.Canceled:
		return inconclusive("cancelled")
	case isLate(err):
		return found.fail("hung: body not finished after " + seconds(a.target.Check.Timeout))
	case errors.Is(err, errBeyondLimit):
		return found.fail("not in the first MiB of the body: " + quote(a.shownBody(o)))
	case errors.As(err, &unknown):
		return found.fail("malformed answer: its body has a Content-Encoding that was not asked for: " +
			bounded(a.serverText(unknown.name)))
	case isDecodeError(err):
		return found.fail("malformed answer: its body is not compressed as its Content-Encoding says")
	case err != nil:
		return found.fail("body cut short")
	}
	return found.fail("body lacks " + quote(a.shownBody(o)))
}

// shownBody returns the text that the body must contain as people may see it: with references in place of secrets.
func (a *attempt) shownBody(resolved catalog.HTTP) string {
	if o, ok := a.target.Check.Options.(catalog.HTTP); ok {
		return o.Body
	}
	return resolved.Body
}

// statusReason describes a status that the check does not expect. For a redirect the location is the useful part: a
// check of http://example.net that is redirected to https needs another URL. Of a check with secrets it may repeat one
// in its path, so only the host is shown.
func statusReason(response *http.Response, wanted int, hasSecrets bool) string {
	where := response.Header.Get("Location")
	if response.StatusCode/100 != 3 || where == "" {
		return "status " + strconv.Itoa(response.StatusCode)
	}
	return fmt.Sprintf("redirects to %s (status %d), wanted %d",
		bounded(redirectTarget(where, hasSecrets)), response.StatusCode, wanted)
}

// redirectTarget returns scheme, host and path of a redirect's location. User, query and fragment are left out, since
// they often contain a session or a key.
func redirectTarget(location string, hasSecrets bool) string {
	u, err := url.Parse(location)
	if err != nil || u.Opaque != "" {
		return "an address that cannot be parsed"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if hasSecrets {
		shown.Path = ""
	}
	return cmp.Or(shown.String(), "the same address")
}

// countingConn counts the bytes received from a server, to distinguish one that hangs from one that is slow. The count
// is atomic because net/http reads in a goroutine of its own.
type countingConn struct {
	net.Conn
	received atomic.Int64
}

func (l *countingConn) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.received.Add(int64(n))
	return n, err
}
