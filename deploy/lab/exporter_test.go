package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/testenv"
)

const exporterProgram = "prometheus-blackbox-exporter"

// exporterModules configures the exporter with the checks of the agents.
const exporterModules = `modules:
  ping: {prober: icmp, timeout: 3s}
  banner: {prober: tcp, timeout: 3s, tcp: {query_response: [{expect: "^220"}]}}
  connect: {prober: tcp, timeout: 3s}
`

// compareWithExporter compares the processor time that the agent and the exporter used per minute.
func compareWithExporter(t testing.TB, exporter *exec.Cmd, agents, exporters time.Duration) {
	t.Helper()
	t.Logf("blackbox_exporter: %.1f MB resident, %.3f CPU-seconds per minute, of which the agent uses %.2f",
		mb(memoryOf(t, exporter.Process.Pid)["VmRSS"]), exporters.Seconds(), agents.Seconds()/exporters.Seconds())
	if agents > exporters {
		t.Errorf("the agent uses %v of processor time per minute, more than the exporter's %v", agents, exporters)
	}
}

// exporter runs blackbox_exporter and scrapes it for the same probes as the measured agent's, as often. It returns nil
// if the program is not installed, which fails the test in CI.
func (r *rest) exporter() *exec.Cmd {
	r.t.Helper()
	if _, err := exec.LookPath(exporterProgram); err != nil {
		if testenv.CI() {
			testenv.SkipOrFail(r.t, "the program "+exporterProgram)
		}
		r.t.Logf("not compared with blackbox_exporter: the program %s is not installed", exporterProgram)
		return nil
	}
	config := filepath.Join(r.data, "blackbox.yaml")
	write(r.t, config, exporterModules)
	address := testenv.FreeAddress(r.t)
	cmd := r.start(exporterProgram, "--config.file="+config, "--web.listen-address="+address, "--log.level=error")
	eventually(r.t, 30*time.Second, "blackbox_exporter answers", func() error {
		return r.scrape(context.Background(), address, "connect", 1)
	})
	ctx, stop := context.WithCancel(context.Background())
	var scrapes sync.WaitGroup
	r.t.Cleanup(func() { stop(); scrapes.Wait() })
	modules := []string{"ping", "banner", "connect"}
	for n := range (restAgents - 1) * len(modules) {
		scrapes.Go(func() { r.scrapeFor(ctx, address, modules[n%len(modules)], n/len(modules), restPhase(n)) })
	}
	return cmd
}

// restPhase spreads the exporter's probes over the interval, as the agents' are.
func restPhase(n int) time.Duration {
	return time.Duration(n) * restInterval / ((restAgents - 1) * 3)
}

// scrapeFor requests a probe every interval until ctx ends.
func (r *rest) scrapeFor(ctx context.Context, address, module string, n int, phase time.Duration) {
	timer := time.NewTimer(phase)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(restInterval)
		err := r.scrape(ctx, address, module, n)
		if err != nil { // a busy machine may pause for as long as a probe waits
			err = r.scrape(ctx, address, module, n)
		}
		if err != nil && ctx.Err() == nil {
			r.t.Errorf("blackbox_exporter, %s of NC%d: %v", module, n, err)
		}
	}
}

// scrape requests one probe and checks that it succeeded.
func (r *rest) scrape(ctx context.Context, address, module string, n int) error {
	target := restAddress(n)
	switch module {
	case "banner":
		target = fmt.Sprintf("%s:%d", target, r.ports[n][0])
	case "connect":
		target = fmt.Sprintf("%s:%d", target, r.ports[n][1])
	}
	query := url.Values{"module": {module}, "target": {target}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/probe?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	metrics, err := io.ReadAll(answer.Body)
	if err == nil && !bytes.Contains(metrics, []byte("probe_success 1")) {
		err = fmt.Errorf("the probe failed: %s", metrics)
	}
	return err
}
