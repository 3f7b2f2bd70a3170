package main

import (
	"context"
	"crypto/tls"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// With a certificate a replica speaks TLS and HTTP/2 by itself.
func TestReplicaServesTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key, address := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), testenv.FreeAddress(t)
	testenv.WriteCertificate(t, cert, key, 7)
	cmd := newReplicaCommand()
	cmd.SetArgs([]string{"--from", "http://127.0.0.1:1", "--data", filepath.Join(dir, "copy"), "--listen", address,
		"--tls-cert", cert, "--tls-key", key})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, // the certificate is the test's own
	}}
	defer client.CloseIdleConnections()
	(&testbed{t: t}).eventually("it answers", func() bool {
		res, err := client.Get("https://" + address + "/healthz")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		if res.ProtoMajor != 2 || res.TLS.PeerCertificates[0].SerialNumber.Int64() != 7 {
			t.Errorf("%s with the certificate %v", res.Proto, res.TLS.PeerCertificates[0].SerialNumber)
		}
		return true
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A certificate without a key is wrong usage, and the error says what is missing. A password in --from is not repeated.
func TestFlagsOfServersAreChecked(t *testing.T) {
	const from = "https://status.example.net"
	for _, test := range []struct {
		cmd  *cobra.Command
		args []string
		want string
	}{
		{newReplicaCommand(), []string{"--from", from, "--tls-cert", "cert.pem"}, "--tls-cert and --tls-key belong together"},
		{newServeCommand(), []string{"--tls-key", "key.pem"}, "--tls-cert and --tls-key belong together"},
		{newReplicaCommand(), []string{"--from", "https://u:secret@status.example.net"}, "--from: write the URL"},
	} {
		test.cmd.SetArgs(test.args)
		test.cmd.SilenceErrors, test.cmd.SilenceUsage = true, true
		err := test.cmd.ExecuteContext(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s %v: %v", test.cmd.Name(), test.args, err)
		}
	}
}
