package file_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/sla"
)

func parseSLA(text string) (*catalog.Catalog, error) {
	const mesh = "regions: [{name: a}]\nhosts: [{name: NC1, region: a, address: 192.0.2.1}]\n"
	return file.Parse("c.yaml", []byte(mesh+text), noEnvironment)
}

func TestTheMethodOfTheSLA(t *testing.T) {
	c, err := parseSLA("sla: {target: 99.5, maintenance: up, " +
		"credits: [{below: 99.9, percent: 10}, {below: 99, percent: 30}]}")
	if err != nil {
		t.Fatal(err)
	}
	want := sla.Method{
		Target: 99.5, Maintenance: sla.CountsUp, Partial: sla.CountsDown,
		Credits: []sla.Credit{{Below: 99.9, Percent: 10}, {Below: 99, Percent: 30}},
	}
	if diff := cmp.Diff(want, c.SLA.Or()); diff != "" {
		t.Error(diff)
	}
	without, err := parseSLA("")
	if err != nil || without.SLA != nil || cmp.Diff(sla.DefaultMethod(), without.SLA.Or()) != "" {
		t.Errorf("without the key: %+v, %v", without.SLA, err)
	}
	// A change of the terms alone is a change, and travels; agents are not told the terms.
	changes := catalog.Compare(without, c)
	if len(changes) != 1 || changes[0].What != "the terms of the SLA change" || c.Revision == without.Revision {
		t.Errorf("changes %v, revision %s", changes, c.Revision)
	}
	data, err := catalog.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := catalog.Decode(data)
	if diff := cmp.Diff(c, again); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestMistakesInTheSLAHaveTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"sla: {target: 100.5}":            `c.yaml:3:15: target is "100.5"; write a number from 0 to 100`,
		"sla: {partial: excluded}":        `c.yaml:3:16: partial is "excluded"; write down or up`,
		"sla: {maintenance: none}":        `c.yaml:3:20: maintenance is "none"; write excluded or up or down`,
		"sla: {targt: 99}":                `c.yaml:3:7: sla has no key "targt"; did you mean "target"?`,
		"sla: {credits: [{below: 99}]}":   `c.yaml:3:17: a credit has no percent; add 'percent: ...'`,
		"sla: {credits: [{percent: 10}]}": `c.yaml:3:17: a credit has no below; add 'below: ...'`,
		"sla: 9": "c.yaml:3:6: sla is not a mapping; " +
			"write it as 'key: value' lines or as {key: value}",
		"sla: {credits: [" + strings.Repeat("{below: 1, percent: 1},", 21) + "]}": "c.yaml:3:16: more than 20 credits; " +
			"keep the steps that differ most",
	} {
		if _, err := parseSLA(text); err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// What a peer sends is checked again.
func TestADecodedMethodIsChecked(t *testing.T) {
	c, err := parseSLA("sla: {target: 99.5}")
	if err != nil {
		t.Fatal(err)
	}
	c.SLA.Target = 120
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.Decode(data); err == nil || !strings.Contains(err.Error(), "the target is not a percentage") {
		t.Error(err)
	}
}
