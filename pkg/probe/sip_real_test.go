package probe_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// startKamailio runs Kamailio, which answers OPTIONS over UDP and TCP with the code.
func startKamailio(t *testing.T, code int) (port int) {
	t.Helper()
	testenv.RequirePrograms(t, map[string]string{"/usr/sbin/kamailio": "kamailio"})
	dir, port := openDirectory(t), testenv.FreePort(t)
	config := writeFile(t, dir, "kamailio.cfg", fmt.Sprintf(`#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=1
tcp_children=1
auto_aliases=no
listen=udp:127.0.0.1:%[1]d
listen=tcp:127.0.0.1:%[1]d
loadmodule "sl.so"
request_route {
  sl_send_reply("%[2]d", "as the test asks");
}
`, port, code))
	startServer(t, port, "/usr/sbin/kamailio", "-DD", "-E", "-m", "16", "-M", "4", "-f", config, "-Y", dir)
	return port
}

func TestKamailioAnswersSIPChecks(t *testing.T) {
	for _, test := range []struct {
		code    int
		codes   []int
		outcome mesh.Outcome
		reason  string
	}{
		{200, nil, mesh.Reachable, ""},
		{401, []int{200, 401}, mesh.Reachable, ""},
		{503, []int{200, 401}, mesh.Unreachable, `answered "503 as the test asks", wanted 200 or 401`},
	} {
		port := startKamailio(t, test.code)
		for _, transport := range []string{"", "tcp"} {
			o := catalog.SIP{Transport: transport, Codes: test.codes}
			want(t, once(t, probe.Kernel{}, sipCheck(port, o), "127.0.0.1"), test.outcome, test.reason)
		}
	}
}

// startKamailioOverTLS runs Kamailio, which answers OPTIONS over TLS alone, with a certificate that the test's process
// trusts.
func startKamailioOverTLS(t *testing.T) (port int) {
	t.Helper()
	testenv.RequirePrograms(t, map[string]string{"/usr/sbin/kamailio": "kamailio"})
	modules, _ := filepath.Glob("/usr/lib/*/kamailio/modules/tls.so")
	if len(modules) == 0 {
		testenv.SkipOrFail(t, "Kamailio's module tls (Debian: kamailio-tls-modules)")
	}
	dir, port := openDirectory(t), testenv.FreePort(t)
	certificate, key := certificateFiles(t, dir, "mail.example.net")
	tlsConfig := writeFile(t, dir, "tls.cfg", fmt.Sprintf(`[server:default]
method = TLSv1.2+
verify_certificate = no
require_certificate = no
private_key = %s
certificate = %s
`, key, certificate))
	config := writeFile(t, dir, "kamailio.cfg", fmt.Sprintf(`#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=1
tcp_children=1
auto_aliases=no
enable_tls=yes
listen=tls:127.0.0.1:%[1]d
loadmodule "sl.so"
loadmodule "tls.so"
modparam("tls", "config", "%[2]s")
request_route {
  sl_send_reply("200", "OK");
}
`, port, tlsConfig))
	startServer(t, port, "/usr/sbin/kamailio", "-DD", "-E", "-m", "32", "-M", "8", "-f", config, "-Y", dir)
	return port
}

func TestKamailioAnswersOverTLS(t *testing.T) {
	port := startKamailioOverTLS(t)
	o := catalog.SIP{Transport: catalog.TransportTLS, Verification: mail}
	got := once(t, probe.Kernel{}, sipCheck(port, o), "127.0.0.1")
	if want(t, got, mesh.Reachable, ""); got.Expiry == nil {
		t.Error("the certificate ends tomorrow, and there is no advisory")
	}
	o.ServerName = "sip.example.org"
	want(t, once(t, probe.Kernel{}, sipCheck(port, o), "127.0.0.1"), mesh.Unreachable,
		"certificate is for mail.example.net, not sip.example.org")
}
