package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"slices"
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

// redirectsMax bounds the redirects that one probe follows.
const redirectsMax = 5

// httpClient requests the URL of a check and follows its redirects, as one attempt of the check.
type httpClient struct {
	*attempt
	options catalog.HTTP
	began   time.Time     // when the first SYN was sent
	connect time.Duration // of the first TCP handshake
	phases  mesh.Phases
}

// check requests the check's URL from the address, over a new connection: a reused one would hide a server that no
// longer accepts. The URL gives the port, the path, the Host header and the expected name of the certificate. A
// redirect is a response like others, unless the check lists its host.
func (c httpClient) check(ctx context.Context, ip netip.Addr) Result {
	u, _, port, err := address.ParseURL(c.options.URL)
	if err != nil {
		return inconclusive("the check's URL cannot be used: " + err.Error())
	}
	if c.options.HasCredentials() && u.Scheme == "http" && !c.options.PlainLogin && !ip.IsLoopback() {
		why := &NotPermittedError{"credentials without TLS: write an https URL or set plain_login"}
		return inconclusive(why.Error())
	}
	first := u
	for hop := 0; ; hop++ {
		result, next := c.visit(ctx, ip, port, u, u.Scheme == first.Scheme && u.Host == first.Host)
		if next == nil {
			return result
		}
		if hop == redirectsMax {
			return result.fail("redirects to " + bounded(redirectTarget(next.String(), c.target.hasSecrets())) +
				fmt.Sprintf(", after %d redirects", redirectsMax))
		}
		// Only to the check's own host the address is known. Others are resolved, and the allow-list applies to them.
		if ctx = c.exchangeCtx; !strings.EqualFold(next.Hostname(), first.Hostname()) {
			addresses, err := c.network.Resolve(ctx, c.target.Family, next.Hostname())
			if err != nil || len(addresses) == 0 {
				return inconclusive("the host of a redirect cannot be resolved")
			}
			ip = addresses[0].Unmap()
		}
		if _, _, port, err = address.ParseURL(next.String()); err != nil {
			return result.fail("redirects to an address that cannot be used")
		}
		u = next
	}
}

// visit makes one request. It returns the next URL if the response is a redirect that the check permits.
func (c *httpClient) visit(ctx context.Context, ip netip.Addr, port int, u *url.URL, own bool) (
	result Result, next *url.URL,
) {
	conn, err := c.dial(ctx, ip, port)
	if err != nil {
		return classify(err), nil
	}
	defer conn.Close()
	result = c.withMemory(conn, func() Result {
		if c.began.IsZero() {
			c.began, c.connect = conn.began, conn.connect
			c.phases.Connect = conn.connect
		}
		var found Result
		found, next = c.fetch(u, conn, own)
		return found
	})
	return result, next
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

// fetch makes the request over the connection and compares the response with the check. own says that the URL is the
// check's, or another of the same server: only that gets the headers and the credentials.
func (c *httpClient) fetch(u *url.URL, conn *connection, own bool) (Result, *url.URL) {
	counted := &countingConn{Conn: conn.Conn}
	found := Result{Outcome: mesh.Reachable, Connect: c.connect}
	var asked atomic.Bool
	verification := c.verification(u)
	transport, err := transport(counted, c.options, verification, &asked)
	if err != nil {
		why := &NotPermittedError{err.Error()}
		return inconclusive(why.Error()), nil
	}
	defer transport.CloseIdleConnections()
	response, err := c.request(transport, u, own)
	if err != nil {
		return refusedCertificate(c.transportFailure(found, counted, err), verification, asked.Load()), nil
	}
	defer response.Body.Close()
	found.RTT = time.Since(c.began)
	c.phases.FirstByte = found.RTT - c.phases.Connect - c.phases.TLS
	if next := c.redirect(u, response); next != nil {
		return found, next
	}
	read := time.Now()
	found = c.checkResponse(found, response)
	c.phases.Body = time.Since(read)
	found.Phases = c.phases
	return c.compareObjectives(found), nil
}

// compareObjectives returns found, or a slow result if a phase took longer than the check wants.
func (c *httpClient) compareObjectives(found Result) Result {
	if !found.Outcome.Good() {
		return found
	}
	for _, phase := range []struct {
		key, name string
		took      time.Duration
	}{
		{"connect", "the connection", c.phases.Connect}, {"tls", "TLS", c.phases.TLS},
		{"first_byte", "the first byte", c.phases.FirstByte}, {"body", "the body", c.phases.Body},
	} {
		if objective := c.options.Objective(phase.key); objective > 0 && phase.took > objective {
			found.Outcome = mesh.Slow
			found.Reason = mesh.ReasonOverObjective + phase.name + " took " + milliseconds(phase.took)
			return found
		}
	}
	return found
}

// request sends the request over an established connection and reads the response's headers. The caller closes the
// response's body.
func (c *httpClient) request(transport *http.Transport, u *url.URL, own bool) (*http.Response, error) {
	var handshake time.Time
	trace := &httptrace.ClientTrace{
		TLSHandshakeStart: func() { handshake = time.Now() },
		TLSHandshakeDone:  func(tls.ConnectionState, error) { c.phases.TLS += time.Since(handshake) },
	}
	method := cmp.Or(c.options.Method, http.MethodGet)
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(c.exchangeCtx, trace), method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if own {
		for name, value := range c.options.Headers {
			request.Header.Set(name, value)
		}
		if c.options.User != "" {
			request.SetBasicAuth(c.options.User, c.options.Password)
		}
		if c.options.Bearer != "" {
			request.Header.Set("Authorization", "Bearer "+c.options.Bearer)
		}
	}
	request.Header.Set("User-Agent", c.target.userAgent())
	return transport.RoundTrip(request)
}

// redirect returns where the response leads to, if the check permits that. From https it never leads to http.
func (c *httpClient) redirect(u *url.URL, response *http.Response) *url.URL {
	status := response.StatusCode
	if len(c.options.Redirects) == 0 || status/100 != 3 || status == http.StatusNotModified || c.options.Accepts(status) {
		return nil
	}
	next, err := u.Parse(response.Header.Get("Location"))
	if err != nil || next.Scheme != "https" && (next.Scheme != "http" || u.Scheme == "https") || next.User != nil {
		return nil
	}
	host, err := address.ParseHost(next.Hostname())
	if err != nil || !slices.ContainsFunc(c.options.Redirects, func(permitted string) bool {
		own, err := address.ParseHost(permitted)
		return err == nil && own == host
	}) {
		return nil
	}
	next.Fragment = ""
	return next
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
	for _, prefix := range []string{"net/http: ", "HTTP/1.x transport connection broken: ", "net/http: "} {
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
func (c *httpClient) checkResponse(found Result, response *http.Response) Result {
	o := c.options
	if !o.Accepts(response.StatusCode) {
		return found.fail(statusReason(response, o.ExpectedStatuses(), c.target.hasSecrets()))
	}
	if o.HTTP2 && response.ProtoMajor != 2 {
		return found.fail("answered with HTTP/1, wanted HTTP/2")
	}
	if response.TLS != nil {
		found.Expiry = expiresSoon(response.TLS, o.CertificateDays, time.Now())
	}
	good, lacks, err := c.testBody(response)
	var unknown *unknownEncodingError
	switch {
	case good:
		return found
	case c.exchangeCtx.Err() == context.Canceled:
		return inconclusive("cancelled")
	case isLate(err):
		return found.fail("hung: body not finished after " + seconds(c.target.Check.Timeout))
	case errors.Is(err, errBeyondLimit):
		return found.fail("not in the first MiB of the body: " + lacks)
	case errors.As(err, &unknown):
		return found.fail("malformed answer: its body has a Content-Encoding that was not asked for: " +
			bounded(c.serverText(unknown.name)))
	case isDecodeError(err):
		return found.fail("malformed answer: its body is not compressed as its Content-Encoding says")
	case isClosed(err):
		return found.fail("body cut short")
	case err != nil:
		return found.fail("malformed answer: " + malformedPart(err))
	}
	return found.fail("body lacks " + lacks)
}

// testBody compares the body with what the check requires of it. lacks describes what it does not have, with
// references in place of secrets.
func (c *httpClient) testBody(response *http.Response) (good bool, lacks string, err error) {
	o := c.options
	switch {
	case o.Body != "":
		good, err = bodyContains(response, o.Body)
		return good, quote(c.shown(o).Body), err
	case o.BodyMatch != "":
		good, err = bodyMatches(response, o.BodyMatch)
		return good, "a match of " + quote(c.shown(o).BodyMatch), err
	case len(o.BodyJSON) > 0:
		return c.testJSON(response)
	}
	return true, "", nil
}

// shown returns the options as people may see them: with references in place of secrets.
func (a *attempt) shown(resolved catalog.HTTP) catalog.HTTP {
	if o, ok := a.target.Check.Options.(catalog.HTTP); ok {
		return o
	}
	return resolved
}

// statusReason describes a status that the check does not expect. For a redirect the location is the useful part: a
// check of http://example.net that is redirected to https needs another URL. Of a check with secrets it may repeat one
// in its path, so only the host is shown.
func statusReason(response *http.Response, wanted string, hasSecrets bool) string {
	where := response.Header.Get("Location")
	if response.StatusCode/100 != 3 || where == "" {
		return "status " + strconv.Itoa(response.StatusCode)
	}
	return fmt.Sprintf("redirects to %s (status %d), wanted %s",
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
