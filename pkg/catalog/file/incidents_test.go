package file_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/catalog/file"
)

const oneHost = `
regions: [{name: ams}]
hosts: [{name: NC036, region: ams, address: 192.0.2.1}]
`

func TestHowIncidentsArePublished(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for text, want := range map[string]*catalog.Incidents{
		"":                                nil,
		"incidents: {publish: at_once}":   {},
		"incidents: {publish: by_hand}":   {Delay: catalog.PublishByHand},
		"incidents: {publish: after 2m}":  {Delay: 2 * time.Minute},
		"incidents: {publish: after 90s}": {Delay: 90 * time.Second},
		"incidents:\n  templates:\n    - {name: Mail, title: Mail is delayed, text: We look into it.}": {
			Templates: []catalog.Template{{Name: "Mail", Title: "Mail is delayed", Text: "We look into it."}},
		},
	} {
		c, err := file.Parse("x.yaml", []byte(oneHost+text), none)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, c.Incidents); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		data, err := catalog.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := catalog.Decode(data)
		if err != nil || !cmp.Equal(again.Incidents, c.Incidents) || c.ForAgents().Incidents != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, says := range map[string]string{
		"incidents: {publish: later}":                                                  "at_once, by_hand, or after",
		"incidents: {publish: after 2h}":                                               "up to an hour",
		"incidents: {publish: after -2m}":                                              "up to an hour",
		"incidents: {template: []}":                                                    `did you mean "templates"?`,
		"incidents: {templates: [{name: a}]}":                                          "a template has no text",
		"incidents: {templates: [{name: a, text: b}, {name: A, text: b}]}":             "two templates",
		"incidents: {templates: [{name: a b, text: b}]}":                               "not usable",
		"incidents: {templates: [{name: a, text: b, title: \"a\\nb\"}]}":               "one line",
		"incidents: {templates: [{name: a, text: " + strings.Repeat("x", 4097) + "}]}": "at most 4096",
	} {
		if _, err := file.Parse("x.yaml", []byte(oneHost+text), none); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}
