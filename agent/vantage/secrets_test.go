package vantage_test

import (
	"strings"
	"testing"
	"time"

	probebus "github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/secret"
	"github.com/probemesh/probemesh/pkg/wire"
)

// sealTo adds the bus's secrets to an answer; hostile seals them to another key.
func (b *bus) sealTo(answer []byte, key probebus.SealKey) ([]byte, error) {
	if b.secrets == nil {
		return answer, nil
	}
	plain, err := wire.EncodeSecrets(b.secrets)
	if err != nil {
		return nil, err
	}
	if b.hostile {
		key[0]++
	}
	sealed, err := probebus.Seal(plain, key)
	if err != nil {
		return nil, err
	}
	return wire.AppendSealed(answer, sealed)
}

func (b *bus) setSecrets(values map[string]secret.Text, hostile bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.secrets, b.hostile = values, hostile
}

// An agent that has no value abstains in words, and takes a value that arrives, changes or goes, without another
// revision of the catalog.
func TestSecretsArriveChangeAndAreRefused(t *testing.T) {
	start(t, func(b *bus, _ *network) {
		secrets := []catalog.Reference{{Key: "url", Name: "${TOKEN}"}}
		b.mu.Lock()
		c := *b.catalog
		c.Hosts = append([]catalog.Host(nil), c.Hosts...)
		c.Hosts[2].Checks = []catalog.Check{{
			Kind: catalog.KindHTTP, Name: "Web", Interval: 10 * time.Second, Timeout: time.Second, Secrets: secrets,
			Options: catalog.HTTP{URL: "http://192.0.2.3/?k=${TOKEN}", Status: 200},
		}}
		catalog.Seal(&c)
		b.catalog = &c
		b.mu.Unlock()
		value := func(text string) map[string]secret.Text {
			return map[string]secret.Text{"${TOKEN}": secret.New(text)}
		}
		const waiting = "the value of ${TOKEN} has not arrived"
		// With a value the probe gets as far as the network, which connects to nothing.
		const probed = "not in this test"
		want := func(when, reason string) {
			t.Helper()
			time.Sleep(2 * time.Minute)
			b.published()
			time.Sleep(time.Minute)
			_, observations := b.published()
			seen := 0
			for _, o := range observations {
				if o.Check != "Web" {
					continue
				}
				if seen++; o.Outcome != mesh.Inconclusive || !strings.Contains(o.Reason, reason) {
					t.Errorf("%s: %v %q, want %q", when, o.Outcome, o.Reason, reason)
				}
			}
			if seen == 0 {
				t.Errorf("%s: the check has no observation", when)
			}
		}
		want("before a value", waiting)
		b.setSecrets(value("one"), true)
		want("sealed to another key", waiting)
		b.setSecrets(value("one"), false)
		want("with a value", probed)
		b.setSecrets(value("two"), true)
		want("with a refused answer", probed)
		b.setSecrets(map[string]secret.Text{}, false)
		want("after it is gone", waiting)
	})
}
