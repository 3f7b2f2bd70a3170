package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The servers that the lab's hosts run, as Debian installs them.
const (
	postfixMaster = "/usr/lib/postfix/sbin/master"
	postfix       = "/usr/sbin/postfix"
	dovecot       = "/usr/sbin/dovecot"
	named         = "/usr/sbin/named"
	nginx         = "/usr/sbin/nginx"
)

// service is a kind of server, with the check that probes it.
type service struct {
	check   string // name of the check
	yaml    string // the check in the catalog
	prepare func(t testing.TB, dir string) (program string, args []string)
}

// services are the kinds of servers by the names that stories use.
var services = map[string]service{
	"smtp": {"Sending mail", `{kind: tcp, name: Sending mail, port: 25, banner: "^220 "}`, preparePostfix},
	"imap": {"Reading mail", `{kind: tcp, name: Reading mail, port: 143, banner: '^\* OK'}`, prepareDovecot},
	"dns":  {"Name service", `{kind: tcp, name: Name service, port: 53}`, prepareNamed},
	"web": {"Web sites", `{kind: http, name: Web sites, url: "http://www.example.net/", body: it works}`,
		prepareNginx},
}

// write writes a file, and creates its directory.
func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// openDirectory creates a directory that servers can still read after they dropped root's privileges.
func openDirectory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// preparePostfix configures Postfix to greet and to deliver nothing.
func preparePostfix(t testing.TB, dir string) (string, []string) {
	t.Helper()
	master, err := os.ReadFile("/etc/postfix/master.cf")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "conf/master.cf"), string(master))
	write(t, filepath.Join(dir, "conf/main.cf"), fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
myhostname = mail.example.net
inet_interfaces = all
inet_protocols = ipv4
mydestination =
local_recipient_maps =
smtpd_peername_lookup = no
alias_maps =
alias_database =
`, dir))
	for _, sub := range []string{"queue", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "postfix", filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v: %s", err, out)
	}
	if out, err := exec.Command(postfix, "-c", filepath.Join(dir, "conf"), "check").CombinedOutput(); err != nil {
		t.Fatalf("postfix check: %v: %s", err, out)
	}
	return postfixMaster, []string{"-d", "-c", filepath.Join(dir, "conf")}
}

// prepareDovecot configures Dovecot to greet over IMAP.
func prepareDovecot(t testing.TB, dir string) (string, []string) {
	t.Helper()
	version, err := exec.Command(dovecot, "--version").Output()
	if err != nil {
		t.Fatalf("dovecot --version: %v", err)
	}
	own := "disable_plaintext_auth = no\nmail_location = maildir:" + dir + "/mail\n" +
		"passdb {\n  driver = static\n  args = password=x\n}\n"
	head := ""
	if !strings.HasPrefix(string(version), "2.3.") { // 2.4 changed the syntax
		head = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
		own = "auth_allow_cleartext = yes\nmail_driver = maildir\nmail_path = " + dir + "/mail\n" +
			"passdb static {\n  password = x\n}\n"
	}
	file := filepath.Join(dir, "dovecot.conf")
	write(t, file, head+"protocols = imap\nbase_dir = "+dir+"/run\nlisten = *\nssl = no\nlog_path = /dev/stderr\n"+own)
	return dovecot, []string{"-F", "-c", file}
}

// prepareNamed configures BIND to serve one zone.
func prepareNamed(t testing.TB, dir string) (string, []string) {
	t.Helper()
	file := filepath.Join(dir, "named.conf")
	write(t, file, fmt.Sprintf(`options {
  directory %[1]q; pid-file none; session-keyfile none; managed-keys-directory %[1]q;
  listen-on { any; }; listen-on-v6 { none; }; recursion no; dnssec-validation no;
};
controls {};
zone "example.net" { type primary; file "zone"; };
`, dir))
	const zone = "$TTL 60\n@ SOA ns.example.net. h.example.net. 1 60 60 60 60\n@ NS ns\nns A 192.0.2.1\n"
	write(t, filepath.Join(dir, "zone"), zone)
	return named, []string{"-f", "-4", "-n", "1", "-c", file}
}

// prepareNginx configures nginx to answer every request with "it works".
func prepareNginx(t testing.TB, dir string) (string, []string) {
	t.Helper()
	file := filepath.Join(dir, "nginx.conf")
	write(t, file, fmt.Sprintf(`daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  server { listen 80; location / { return 200 "it works"; } }
}
`, dir))
	return nginx, []string{"-p", dir, "-e", "stderr", "-c", file}
}
