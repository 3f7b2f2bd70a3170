package httpserver

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// A renewed certificate is served without a restart; one whose files do not match, or are missing, is not.
func TestARenewedCertificateIsServed(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := newCertificate(certFile, keyFile, zerolog.Nop(), func(string) {}); err == nil {
		t.Fatal("files that are missing are no error at the start")
	}
	testenv.WriteCertificate(t, certFile, keyFile, 1)
	log := &strings.Builder{}
	warning := ""
	c, err := newCertificate(certFile, keyFile, zerolog.New(log), func(text string) { warning = text })
	if err != nil {
		t.Fatal(err)
	}
	serve := func(want int64, what string) {
		t.Helper()
		c.read = c.read.Add(-certificateCheck) // the time has come to read the files again
		pair, err := c.current(nil)
		if err != nil || pair.Leaf.SerialNumber.Int64() != want {
			t.Errorf("%s: %v, %v; want number %d", what, pair.Leaf.SerialNumber, err, want)
		}
	}
	serve(1, "nothing changed")
	testenv.WriteCertificate(t, certFile, keyFile, 2)
	serve(2, "both files were replaced")
	testenv.WriteCertificate(t, certFile, filepath.Join(dir, "other.pem"), 3)
	serve(2, "only one file was replaced")
	if err := os.Rename(filepath.Join(dir, "other.pem"), keyFile); err != nil {
		t.Fatal(err)
	}
	serve(3, "the other file was replaced, too")
	log.Reset()
	if err := os.Rename(keyFile, keyFile+".away"); err != nil {
		t.Fatal(err)
	}
	serve(3, "a file is missing")
	serve(3, "a file is still missing")
	if strings.Count(log.String(), "rejected, the old one stays in use") != 1 {
		t.Errorf("a file that is missing is not logged once: %s", log)
	}
	if warning != "" {
		t.Errorf("operators are warned while the files may be about to be replaced: %q", warning)
	}
	c.since = c.since.Add(-rejectedFor)
	serve(3, "a file is missing for long")
	ends := "the old one ends on " + c.pair.Leaf.NotAfter.Format("2006-")
	for _, part := range []string{certFile, "no such file", ends} {
		if !strings.Contains(warning, part) {
			t.Errorf("the warning %q does not have %q", warning, part)
		}
	}
	log.Reset()
	if err := os.Rename(keyFile+".away", keyFile); err != nil {
		t.Fatal(err)
	}
	serve(3, "the file was put back")
	serve(3, "nothing changed again")
	if warning != "" {
		t.Errorf("still warned: %q", warning)
	}
	if strings.Count(log.String(), "no longer rejected") != 1 {
		t.Errorf("that the files are in order again is not logged once: %s", log)
	}
}

// A pipe in a file's place must not block the handshakes, which wait for the reading.
func TestAPipeIsNoCertificate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cert.pem")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newCertificate(file, file, zerolog.Nop(), func(string) {}); err == nil {
		t.Error("accepted")
	}
}
