package node

import (
	"bufio"
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// With a certificate the public address serves HTTP/2, event streams included, and HTTP/1.1 to clients without HTTP/2.
func TestTheTLSAddressSpeaksHTTP2(t *testing.T) {
	dir, err := os.MkdirTemp("", "pm") // the path of a socket in it is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const text = "regions: [{name: ams}]\nhosts: [{name: NC036, region: ams, address: 192.0.2.36}]\n"
	c, err := catalogfile.Parse("test.yaml", []byte(text), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	testenv.WriteCertificate(t, cert, key, 1)
	n, err := Open(t.Context(), Config{
		Data: filepath.Join(dir, "d"), Catalog: c, NATSListen: "127.0.0.1:0", Listen: "127.0.0.1:0", TLSCert: cert,
		TLSKey: key, OpsListen: "127.0.0.1:0", Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		n.Close()
	})
	address := "https://" + n.PublicAddr().String()
	for _, major := range []int{2, 1} {
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // the certificate is the test's own
			ForceAttemptHTTP2: major == 2,
		}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: time.Minute}
		page, err := client.Get(address + "/")
		if err != nil {
			t.Fatal(err)
		}
		page.Body.Close()
		if page.ProtoMajor != major || page.StatusCode != http.StatusOK {
			t.Errorf("a client of HTTP/%d gets %s %s", major, page.Proto, page.Status)
		}
		stream, err := client.Get(address + "/api/v1/events?page=/")
		if err != nil {
			t.Fatal(err)
		}
		wantLine(t, stream, "event: page")
		stream.Body.Close()
	}
}

// wantLine reads an answer until a line.
func wantLine(t *testing.T, res *http.Response, want string) {
	t.Helper()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), want) {
			return
		}
	}
	t.Errorf("%s: the stream ended without %q", res.Proto, want)
}
