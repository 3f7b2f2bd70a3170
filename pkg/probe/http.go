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

// headersMax bounds the bytes of a response's headers.
const headersMax = 1 << 16

// http asks the target's address for the check's URL, over a connection of its own. The URL gives the port, the path, the
// Host header and the name on the certificate. A redirect is an answer and never followed.
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
	asked := time.Now()
	release, waited, err := a.target.Memory.exchange(a.talk)
	if err != nil {
		return inconclusive(err.Error())
	}
	defer release()
	conn.began = conn.began.Add(time.Since(asked)) // waiting for memory is no part of the server's time
	result := a.exchange(u, o, conn)
	if waited && !result.Outcome.Good() && errors.Is(a.talk.Err(), context.DeadlineExceeded) {
		return inconclusive(errMemory.Error()) // the server did not have the whole of its time
	}
	return result
}

// exchange makes the request over the connection and judges the answer.
func (a *attempt) exchange(u *url.URL, o catalog.HTTP, conn *connection) Result {
	heard := &listening{Conn: conn.Conn}
	response, err := a.request(a.talk, u, heard)
	found := Result{Outcome: mesh.Reachable, Connect: conn.connect}
	if err != nil {
		return a.unanswered(found, heard, err)
	}
	defer response.Body.Close()
	found.RTT = time.Since(conn.began)
	return a.answered(found, o, response)
}

// request asks over the connection that stands and reads the answer's headers. The caller closes the answer's body.
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

// userAgent names the program, the agent and the mesh's page, so that whoever reads a server's log knows whom to ask. A page
// that is no plain URL is left out: a header must stay one line.
func (t Target) userAgent() string {
	name := "probemesh/" + cmp.Or(t.Version, "devel") + " (agent " + t.Agent
	if u, err := url.Parse(t.Page); err == nil && u.Host != "" {
		name += "; +" + u.String()
	}
	return name + ")"
}

// unanswered says why no answer came over a connection that stood.
func (a *attempt) unanswered(found Result, conn *listening, err error) Result {
	if a.talk.Err() == context.Canceled {
		return inconclusive("cancelled")
	}
	if certificate, ok := classifyCertificate(err, time.Now()); ok {
		return certificate
	}
	timeout := seconds(a.target.Check.Timeout)
	switch late := isLate(err); {
	case late && conn.heard.Load() == 0:
		return found.bad("hung: accepted and said nothing for " + timeout)
	case late:
		return found.bad("hung: answer not finished after " + timeout)
	case isClosed(err) && conn.heard.Load() == 0:
		return found.bad("closed without an answer")
	case isClosed(err):
		return found.bad("answer cut short")
	}
	return found.bad("malformed answer: " + malformation(err))
}

// malformation names what net/http could not read, without what the server sent: that stands behind a quotation mark
// or colon.
func malformation(err error) string {
	text := err.Error()
	for _, prefix := range []string{"net/http: ", "HTTP/1.x transport connection broken: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	if i := strings.IndexAny(text, "\":"); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSpace(text)
}

func isLate(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// answered compares an answer with what the check wants.
func (a *attempt) answered(found Result, o catalog.HTTP, response *http.Response) Result {
	if wanted := o.ExpectedStatus(); response.StatusCode != wanted {
		return found.bad(statusReason(response, wanted))
	}
	if response.TLS != nil && o.CertificateDays > 0 {
		left := time.Until(response.TLS.PeerCertificates[0].NotAfter)
		if left < time.Duration(o.CertificateDays)*24*time.Hour {
			return found.bad(fmt.Sprintf("certificate expires in %s, wanted %d", ago(left), o.CertificateDays))
		}
	}
	if o.Body == "" {
		return found
	}
	shown, err := bodyContains(response, o.Body)
	var unknown *unknownEncodingError
	switch {
	case shown:
		return found
	case a.talk.Err() == context.Canceled:
		return inconclusive("cancelled")
	case isLate(err):
		return found.bad("hung: body not finished after " + seconds(a.target.Check.Timeout))
	case errors.Is(err, errBeyondLimit):
		return found.bad("not in the first MiB of the body: " + quote(o.Body))
	case errors.As(err, &unknown):
		return found.bad("malformed answer: its body has a Content-Encoding that was not asked for: " + bounded(unknown.name))
	case notAsDeclared(err):
		return found.bad("malformed answer: its body is not compressed as its Content-Encoding says")
	case err != nil:
		return found.bad("body cut short")
	}
	return found.bad("body lacks " + quote(o.Body))
}

func statusReason(response *http.Response, wanted int) string {
	where := response.Header.Get("Location")
	if response.StatusCode/100 != 3 || where == "" {
		return "status " + strconv.Itoa(response.StatusCode)
	}
	return fmt.Sprintf("redirects to %s (status %d), wanted %d", bounded(place(where)), response.StatusCode, wanted)
}

// place is where a redirect leads, by scheme, host and path. User, query and fragment often hold a session or a key.
func place(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Opaque != "" {
		return "an address that cannot be parsed"
	}
	return cmp.Or((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), "the same address")
}

// listening counts the bytes that a server said, to tell one that hangs from one that is slow.
type listening struct {
	net.Conn
	heard atomic.Int64
}

func (l *listening) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.heard.Add(int64(n))
	return n, err
}
