package mirror

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"regexp"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/mesh"
)

var (
	// badge matches the addresses of badges.
	badge = regexp.MustCompile(`^/badge(/.*)?\.(svg|json)$`)
	// verdicts matches those of the API's answers with present verdicts.
	verdicts = regexp.MustCompile(`^/api/v1/(matrix|hosts/[^/]+/votes)$`)
)

// OutOfDate returns a badge or an answer of the API that claims of no host that it works now, only that its data is as
// of a time. Other documents are returned unchanged.
func OutOfDate(d Document, at time.Time) Document {
	description := "Unknown: as of " + at.UTC().Format("15:04 UTC, 2 Jan 2006")
	switch {
	case badge.MatchString(d.Address):
		d.Body = outOfDateBadge(d)
	case strings.HasPrefix(d.Address, "/api/v2/"):
		d.Body = outOfDateStatus(d.Body, description)
	case verdicts.MatchString(d.Address):
		d.Body = outOfDateVerdicts(d.Body, description)
	}
	return d
}

func outOfDateBadge(d Document) []byte {
	look := web.OutOfDateLook()
	if strings.HasSuffix(d.Address, ".json") {
		var label struct{ Label string }
		_ = json.Unmarshal(d.Body, &label)     // what it is not stays empty
		out, _ := json.Marshal(map[string]any{ // strings and a number can be encoded
			"schemaVersion": 1, "label": label.Label, "message": look.Word,
			"color": strings.TrimPrefix(web.Color(look.Class), "#"),
		})
		return append(out, '\n')
	}
	var picture struct {
		Title string `xml:"title"`
	}
	_ = xml.Unmarshal(d.Body, &picture)
	label := picture.Title
	if i := strings.LastIndex(label, ": "); i >= 0 {
		label = label[:i]
	}
	return []byte(web.BadgeSVG(label, look))
}

// outOfDateStatus reports every component as unknown, in the form that the Statuspage API has for that.
func outOfDateStatus(body []byte, description string) []byte {
	return rewriteJSON(body, func(all map[string]any) {
		if _, ok := all["status"].(map[string]any); ok {
			all["status"] = map[string]any{"indicator": "minor", "description": description}
		}
		doubtComponents(all, description)
	})
}

// outOfDateVerdicts reports the verdict of each check, and the status of the host if the answer is about one, as
// unknown. The votes stay: they are evidence as of the time in the answer.
func outOfDateVerdicts(body []byte, sentence string) []byte {
	return rewriteJSON(body, func(all map[string]any) {
		if _, ok := all["status"]; ok {
			all["status"] = mesh.StatusUnknown
		}
		checks, _ := all["checks"].([]any)
		for _, c := range checks {
			if check, ok := c.(map[string]any); ok {
				check["verdict"], check["sentence"] = mesh.Unknown, sentence
			}
		}
	})
}

// rewriteJSON changes a JSON object. Anything else becomes an empty object.
func rewriteJSON(body []byte, change func(map[string]any)) []byte {
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&all) != nil || all == nil {
		return []byte("{}\n")
	}
	change(all)
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	_ = e.Encode(all) // it was decoded from JSON
	return out.Bytes()
}

// doubtComponents marks all components in a value as unknown, also those of incidents.
func doubtComponents(value any, description string) {
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			doubtComponents(v, description)
		}
	case map[string]any:
		if _, isComponent := value["group_id"]; isComponent {
			value["status"], value["description"] = "degraded_performance", description
		}
		for _, v := range value {
			doubtComponents(v, description)
		}
	}
}
