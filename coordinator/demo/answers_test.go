package demo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// Every service answers its check, and each fault of a service is what the check then finds, until it is mended.
func TestServicesAnswerTheirChecks(t *testing.T) {
	testenv.Lock(t, "demo") // a service that another demo stopped leaves its port free
	t.Setenv("TMPDIR", t.TempDir())
	d, err := Open(t.Context(), Config{Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ask := func(host, check string) probe.Result {
		h := d.catalog.Host(host)
		c := h.Check(check)
		ours := *c
		if host != "nc031" { // whose own results nobody looks at
			ours.Timeout = time.Minute // a busy machine may pause for as long as an agent waits
		}
		if o, ok := ours.Options.(catalog.DNS); ok && o.SOA != "" {
			o.Tolerance = 1 // a nanosecond, which even this probe waits for
			ours.Options = o
		}
		return probe.Once(t.Context(), d.wan.from("nc031"), probe.Target{
			Check: ours, Address: h.Addresses[0], Family: mesh.IPv4, Agent: "nc031",
		}, func() {})
	}
	kinds := map[string]bool{}
	for _, h := range d.catalog.Hosts {
		for _, c := range h.Checks {
			if got := ask(h.Key(), c.Name); h.Key() != "nc031" && got.Outcome != mesh.Reachable {
				t.Errorf("%s %s: %s", h.Name, c.Name, got.Reason)
			}
			kinds[c.Kind] = true
		}
	}
	for _, kind := range []string{"ping", "http", "smtp", "imap", "pop3", "dns", "sip"} {
		if !kinds[kind] {
			t.Errorf("no check has the kind %s", kind)
		}
	}
	for _, test := range []struct {
		fault, host, check, reason string
		outcome                    mesh.Outcome
	}{
		{faultExpire, "NC036", "Reading mail", "certificate expired 1 day ago", mesh.Unreachable},
		{faultExpire, "NC036", "Sending mail", "certificate expired 1 day ago", mesh.Unreachable},
		{faultGreylist, "NC036", "Sending mail", `temporary failure: answered "450 4.2.0 greylisted`, mesh.Slow},
		{faultRefuse, "NC036", "Reading mail", "login refused: ", mesh.Unreachable},
		{faultRefuse, "NC036", "Fetching mail", "login refused: ", mesh.Unreachable},
		{faultStale, "NC035", "Zone in step", "zone not in step: serial 2026010101 at 127.0.35.1", mesh.Unreachable},
		{faultService, "NC034", "Phones", "connection refused", mesh.Unreachable},
	} {
		id, err := d.Break(Fault{Fault: test.fault, Host: test.host, Check: test.check})
		if err != nil {
			t.Errorf("%+v: %v", test, err)
			continue
		}
		key := mesh.Key(test.host)
		if got := ask(key, test.check); got.Outcome != test.outcome || !strings.HasPrefix(got.Reason, test.reason) {
			t.Errorf("%+v: %v %s", test, got.Outcome, got.Reason)
		}
		if d.Faults()[0].String() == "" || d.Mend(id) != nil {
			t.Error(d.Faults())
		}
		if got := ask(key, test.check); got.Outcome != mesh.Reachable {
			t.Errorf("%+v is mended: %s", test, got.Reason)
		}
	}
	for _, wrong := range []Fault{
		{Fault: faultStale, Host: "NC035", Check: "Name service"}, {Fault: faultGreylist, Host: "NC023",
			Check: "Relaying mail"},
		{Fault: faultExpire, Host: "NC036", Check: "Fetching mail"}, {Fault: faultRefuse, Host: "NC036"},
		{Fault: faultRefuse},
	} {
		if id, err := d.Break(wrong); err == nil {
			t.Error(fmt.Sprint(id), wrong, "is accepted")
		}
	}
}
