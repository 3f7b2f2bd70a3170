package probe_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"unicode"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// answers serves each HTTP request with the raw bytes and closes.
func answers(t *testing.T, raw string) string {
	t.Helper()
	port := server(t, "127.0.0.1", func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, raw)
		}
	})
	return fmt.Sprintf("http://mail.example.net:%d/", port)
}

// What a server sends is repeated only where it helps an operator, bounded and printable, without what may be a
// secret; and each of these failures has its name in the mesh's vocabulary.
func TestReasonsLeaveSecretsOut(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		reason       string
		failure      mesh.FailureKind
	}{
		{"another protocol", "SSH-2.0-key=SECRET\r\n", "malformed answer: malformed HTTP response",
			mesh.UnexpectedAnswer},
		{"a broken status", "HTTP/1.1 SECRET no\r\n\r\n", "malformed answer: malformed HTTP status code",
			mesh.UnexpectedAnswer},
		{"a broken header", "HTTP/1.1 200 OK\r\nSet-Cookie key=SECRET\r\n\r\n",
			"malformed answer: malformed MIME header", mesh.UnexpectedAnswer},
		{"a redirect",
			"HTTP/1.1 302 Found\r\nLocation: https://u:SECRET@x.example/a?key=SECRET\r\nContent-Length: 0\r\n\r\n",
			"redirects to https://x.example/a (status 302), wanted 200", mesh.Redirected},
		{"a redirect to a query", "HTTP/1.1 302 Found\r\nLocation: ?key=SECRET\r\nContent-Length: 0\r\n\r\n",
			"redirects to the same address (status 302), wanted 200", mesh.Redirected},
		{"a redirect to nowhere", "HTTP/1.1 302 Found\r\nLocation: javascript:SECRET\r\nContent-Length: 0\r\n\r\n",
			"redirects to an address that cannot be parsed (status 302), wanted 200", mesh.Redirected},
		{"a status", "HTTP/1.1 503 SECRET\r\nContent-Length: 0\r\n\r\n", "status 503", mesh.HTTPStatus},
		{"half an answer", "HTTP/1.1 200 OK\r\nServer: x\r\n", "answer cut short", mesh.UnfinishedAnswer},
		{"nothing", "", "closed without an answer", mesh.ConnectionClosed},
		{"another body", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSECRET", `body lacks "Webmail"`,
			mesh.UnexpectedAnswer},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nSECRET", "body cut short", mesh.UnfinishedAnswer},
	} {
		t.Run(test.name, func(t *testing.T) {
			check := catalog.Check{Kind: catalog.KindHTTP,
				Timeout: patience, Options: catalog.HTTP{URL: answers(t, test.answer), Body: "Webmail"}}
			got := once(t, probe.Kernel{}, check, "127.0.0.1")
			want(t, got, mesh.Unreachable, test.reason)
			if strings.Contains(got.Reason, "SECRET") {
				t.Error(got.Reason)
			}
			if f := mesh.ClassifyReason(got.Reason); f.Kind != test.failure {
				t.Errorf("%q is classified as %q", got.Reason, f)
			}
		})
	}
}

func TestReasonsAreShortAndPrintable(t *testing.T) {
	noisy := strings.Repeat("\x1b[2J\u202e\x00\xff long ", 100)
	for name, network := range map[string]probe.Network{
		"a resolver's error": nowhere{&net.DNSError{Err: noisy}},
		"a router":           nowhere{&probe.UnreachableError{What: noisy, Router: netip.MustParseAddr("192.0.2.254")}},
		"the kernel":         nowhere{fmt.Errorf("%s", noisy)},
		"the permission":     nowhere{&probe.NotPermittedError{What: noisy}},
	} {
		got := once(t, network, catalog.Check{Kind: catalog.KindPing, Options: catalog.Ping{}}, "mail.example.net")
		if strings.ContainsFunc(got.Reason, func(r rune) bool { return !unicode.IsPrint(r) }) ||
			len(got.Reason) > 300 || got.Reason == "" {
			t.Errorf("%s: %q", name, got.Reason)
		}
	}
	banner := catalog.Check{Kind: catalog.KindTCP, Options: catalog.TCP{Port: server(t, "127.0.0.1",
		func(c net.Conn) { io.WriteString(c, noisy+"\r\n") }), Banner: "^220 "}}
	if got := once(t, probe.Kernel{}, banner, "127.0.0.1"); len(got.Reason) > 300 ||
		mesh.ClassifyReason(got.Reason).Kind != mesh.UnexpectedAnswer {
		t.Errorf("a banner: %q", got.Reason)
	}
}

// Every finding of a network's errors that is the host's fault has a name in the mesh's vocabulary.
func TestFindingsAreClassified(t *testing.T) {
	for _, test := range []struct {
		err  error
		want mesh.FailureKind
	}{
		{context.DeadlineExceeded, mesh.NoAnswer},
		{&net.DNSError{IsNotFound: true}, mesh.NameNotFound},
		{&probe.UnreachableError{What: "host unreachable", Router: netip.MustParseAddr("192.0.2.254")},
			mesh.HostUnreachable},
		{&probe.UnreachableError{What: "port unreachable"}, mesh.HostUnreachable},
	} {
		got := once(t, nowhere{test.err}, catalog.Check{Kind: catalog.KindPing, Options: catalog.Ping{}},
			"mail.example.net")
		if f := mesh.ClassifyReason(got.Reason); got.Outcome != mesh.Unreachable || f.Kind != test.want {
			t.Errorf("%q is classified as %q", got.Reason, f)
		}
	}
}
