package allowlist_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/coordinator/allowlist"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/testenv"
)

const hostsFile = `
regions: [{name: ams}]
hosts:
  - {name: NC036, region: ams, address: [192.0.2.36, "2001:db8::36"]}
  - {name: NC041, region: ams, address: 192.0.2.41}
  - {name: NC042, region: ams, address: 192.0.2.41}
  - {name: MX1, region: ams, address: mail.example.net}
  - {name: GONE, region: ams, address: gone.example.net}
  - {name: VP1, region: ams, checks: []}
`

// writeList writes the list of hostsFile to a file in one format, and returns its path.
func writeList(t *testing.T, format string) string {
	t.Helper()
	c, err := catalogfile.Parse("test.yaml", []byte(hostsFile), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	lookup := func(_ context.Context, _, name string) ([]netip.Addr, error) {
		if name == "mail.example.net" {
			return []netip.Addr{netip.MustParseAddr("::ffff:198.51.100.7"), netip.MustParseAddr("2001:db8::7")}, nil
		}
		return nil, errors.New("no such name")
	}
	var out strings.Builder
	allowlist.Formats[format](&out, allowlist.Collect(t.Context(), c, lookup))
	path := filepath.Join(t.TempDir(), format)
	if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// tool runs a program that the format is for. It skips the test if the program is missing; in CI it fails.
func tool(t *testing.T, program string, args ...string) string {
	t.Helper()
	testenv.RequireRoot(t)
	if _, err := exec.LookPath(program); err != nil {
		testenv.SkipOrFail(t, "the program "+program)
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}

func TestPlain(t *testing.T) {
	got, err := os.ReadFile(writeList(t, "plain"))
	want := `# Where the probes of the mesh come from: the addresses of the hosts in the catalog.
# GONE is gone.example.net, which cannot be resolved: add its address
# VP1 has no address in the catalog: add the one that its probes come from
192.0.2.36
2001:db8::36
192.0.2.41
198.51.100.7
2001:db8::7
`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

// TestFormatForNft loads the sets twice into a network namespace of their own, beside a rule that uses them.
func TestFormatForNft(t *testing.T) {
	path := writeList(t, "nft")
	rule := `add chain inet probemesh input; add rule inet probemesh input ip saddr @vantages4 accept`
	script := "nft -c -f " + path + "; nft -f " + path + "; nft '" + rule + "'; nft -f " + path +
		"; nft list table inet probemesh"
	list := tool(t, "unshare", "-n", "sh", "-ec", script)
	for _, want := range []string{
		"192.0.2.36, 192.0.2.41", "198.51.100.7", "2001:db8::7", "2001:db8::36", "ip saddr @vantages4 accept",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("the sets lack %s:\n%s", want, list)
		}
	}
}

func TestFormatForPostfix(t *testing.T) {
	path := writeList(t, "postfix")
	config := t.TempDir()
	if err := os.WriteFile(filepath.Join(config, "main.cf"), []byte("compatibility_level = 3.6\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"192.0.2.36", "2001:db8::36", "198.51.100.7"} {
		if out := tool(t, "postmap", "-c", config, "-q", address, "cidr:"+path); out != "permit\n" {
			t.Errorf("%s: postfix answers %q", address, out)
		}
	}
	for _, address := range []string{"192.0.2.37", "2001:db8::37"} {
		out, err := exec.Command("postmap", "-c", config, "-q", address, "cidr:"+path).CombinedOutput()
		if err == nil || len(out) > 0 {
			t.Errorf("%s: postfix answers %q", address, out)
		}
	}
}

func TestFormatForFail2ban(t *testing.T) {
	source, err := os.ReadFile(writeList(t, "fail2ban"))
	if err != nil {
		t.Fatal(err)
	}
	config := t.TempDir()
	for name, text := range map[string]string{
		"fail2ban.conf": "[Definition]\nloglevel = INFO\nlogtarget = STDOUT\nsyslogsocket = auto\n" +
			"socket = /nonexistent/s\npidfile = /nonexistent/p\ndbfile = None\n" +
			"dbpurgeage = 1d\ndbmaxmatches = 10\n[Thread]\nstacksize = 0\n",
		"jail.conf": "[DEFAULT]\nignoreip =\nbackend = polling\n[probe]\nenabled = true\nfilter = probe\n" +
			"logpath = " + config + "/jail.conf\n",
		"filter.d/probe.conf":    "[Definition]\nfailregex = lost connection from <HOST>\n",
		"jail.d/probemesh.local": string(source),
	} {
		path := filepath.Join(config, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, "fail2ban-client", "-c", config, "-t")
	dump := tool(t, "fail2ban-client", "-c", config, "-d")
	for _, want := range []string{"127.0.0.1/8", "::1", "192.0.2.36", "2001:db8::36", "198.51.100.7"} {
		if !strings.Contains(dump, "'addignoreip', ") || !strings.Contains(dump, "'"+want+"'") {
			t.Errorf("fail2ban does not ignore %s:\n%s", want, dump)
		}
	}
}
