package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/incident"
)

// listen listens inside the server's namespace, as dial connects there.
func (s *server) listen(address string) (net.Listener, error) {
	type result struct {
		listener net.Listener
		err      error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		var r result
		if r.err = enter(s.namespace); r.err == nil {
			r.listener, r.err = new(net.ListenConfig).Listen(context.Background(), "tcp", address)
		}
		done <- r
	}()
	r := <-done
	return r.listener, r.err
}

// mailServer is Postfix on the coordinator's machine, which delivers to a directory.
type mailServer struct{ inbox string }

const mailUser = "65534" // nobody

// startMailServer starts Postfix so that it takes mail for anybody at example.net.
func (m *mesh) startMailServer() mailServer {
	m.t.Helper()
	dir := openDirectory(m.t)
	program, args := preparePostfix(m.t, dir)
	box := filepath.Join(dir, "mail")
	config := filepath.Join(dir, "conf/main.cf")
	text, err := os.ReadFile(config)
	if err != nil {
		m.t.Fatal(err)
	}
	write(m.t, config, string(text)+fmt.Sprintf(`virtual_mailbox_domains = example.net
virtual_mailbox_base = %s
virtual_mailbox_maps = static:ops/
virtual_uid_maps = static:%[2]s
virtual_gid_maps = static:%[2]s
virtual_minimum_uid = 1
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
mynetworks = 0.0.0.0/0
`, box, mailUser))
	if err := os.MkdirAll(box, 0o755); err != nil {
		m.t.Fatal(err)
	}
	if out, err := exec.Command("chown", mailUser, box).CombinedOutput(); err != nil {
		m.t.Fatalf("chown: %v: %s", err, out)
	}
	m.coordinator.start("mail server", program, args...)
	return mailServer{filepath.Join(box, "ops/new")}
}

// has reports whether a mail arrived whose text contains the words.
func (s mailServer) has(words string) bool {
	files, _ := filepath.Glob(filepath.Join(s.inbox, "*"))
	return slices.ContainsFunc(files, func(f string) bool {
		data, err := os.ReadFile(f)
		return err == nil && bytes.Contains(data, []byte(words))
	})
}

// clear removes what has arrived.
func (s mailServer) clear() {
	files, _ := filepath.Glob(filepath.Join(s.inbox, "*"))
	for _, f := range files {
		_ = os.Remove(f)
	}
}

// hook is a receiver of webhooks on the coordinator's machine.
type hook struct {
	mu     sync.Mutex
	bodies []string
}

func (h *hook) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies = append(h.bodies, string(body))
}

func (h *hook) has(words string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.bodies, func(b string) bool { return strings.Contains(b, words) })
}

// message returns the first message that contains the words; "" if none does.
func (h *hook) message(words string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.bodies {
		if strings.Contains(b, words) {
			return b
		}
	}
	return ""
}

func (h *hook) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies = nil
}

func (m *mesh) startHook(address string) *hook { return m.startHookOn(m.coordinator, address) }

// startHookOn is startHook on another machine.
func (m *mesh) startHookOn(s *server, address string) *hook {
	m.t.Helper()
	l, err := s.listen(address)
	if err != nil {
		m.t.Fatal(err)
	}
	h := &hook{}
	web := &http.Server{Handler: h, ReadTimeout: 5 * time.Second}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = web.Serve(l) }()
	m.t.Cleanup(func() { web.Close(); <-ended })
	return h
}

// BenchmarkNotifications causes one failure after the other, at random moments, and measures the time from the fault to
// the message in a webhook's receiver, and in a mailbox behind Postfix. Run it with -benchtime 50x for fifty faults,
// which take about twenty minutes.
func BenchmarkNotifications(b *testing.B) {
	m := startMesh(b, 10*time.Second, "flap_over: 1000000000")
	const hookAddress = "127.0.0.1:8099"
	box, receiver := m.startMailServer(), m.startHook(hookAddress)
	m.notify = fmt.Sprintf(`notify:
  mail: {server: "smtp://%s:25", from: status@example.net}
  channels:
    - {name: hook, webhook: "http://%s/"}
    - {name: mail, email: [ops@example.net]}
  routes: [{channels: [hook, mail]}]
`, m.coordinator.address, hookAddress)
	m.writeCatalog(25)
	time.Sleep(2 * time.Second) // the coordinator follows the file
	random := rand.New(rand.NewPCG(8, uint64(b.N)))
	rounds := failuresInRounds(random)
	took := map[string][]time.Duration{}
	for n := range b.N {
		// A host that fails for the fourth time within a short time comes and goes: that is one message with a count.
		if n > 0 && n%(3*len(hosts)) == 0 {
			time.Sleep(incident.ReopenWithin + 10*time.Second)
		}
		f := rounds[n%len(rounds)]
		time.Sleep(time.Duration(random.Int64N(int64(time.Second))))
		box.clear()
		receiver.clear()
		began := time.Now()
		f.do.do(m)
		arrived := map[string]time.Duration{}
		eventually(b, 30*time.Second, "messages about "+f.do.what, func() error {
			for name, has := range map[string]func(string) bool{"webhook": receiver.has, "mailbox": box.has} {
				if _, seen := arrived[name]; !seen && has(f.host) {
					arrived[name] = time.Since(began)
				}
			}
			if len(arrived) < 2 {
				return fmt.Errorf("arrived: %v", arrived)
			}
			return nil
		})
		for name, d := range arrived {
			took[name] = append(took[name], d)
		}
		f.mend.do(m)
		m.awaitAllUp()
		// The incident is over, so that the next one is not a part of it.
		eventually(b, 30*time.Second, "the message that it is over", func() error {
			if !receiver.has("incident.over") {
				return fmt.Errorf("not yet")
			}
			return nil
		})
	}
	reportNotifications(b, took)
}

// failuresInRounds returns failures in which every host fails once before one fails again.
func failuresInRounds(random *rand.Rand) []failure {
	byHost := map[string][]failure{}
	for _, f := range failures() {
		byHost[f.host] = append(byHost[f.host], f)
	}
	var out []failure
	for round := range 6 {
		for _, h := range random.Perm(len(hosts)) {
			all := byHost[hosts[h].name]
			out = append(out, all[round%len(all)])
		}
	}
	return out
}

// reportNotifications prints a table, and reports the quantiles of the slower of the two.
func reportNotifications(b *testing.B, took map[string][]time.Duration) {
	fmt.Printf("\nseconds from the fault to the message:\n%-10s %5s %6s %6s %6s %6s\n", "to", "n", "p50", "p90", "p99",
		"max")
	for _, name := range []string{"webhook", "mailbox"} {
		d := took[name]
		slices.Sort(d)
		at := func(share float64) float64 { return d[min(int(share*float64(len(d))), len(d)-1)].Seconds() }
		fmt.Printf("%-10s %5d %6.2f %6.2f %6.2f %6.2f\n", name, len(d), at(0.5), at(0.9), at(0.99), at(1))
		b.ReportMetric(at(0.5), name+"-p50-s")
		b.ReportMetric(at(0.99), name+"-p99-s")
	}
	b.ReportMetric(0, "ns/op")
}
