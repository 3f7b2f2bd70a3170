package file

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// object is a part of a JSON Schema. Encoded, its keys are sorted, so that the schema is the same each time.
type object = map[string]any

// Texts that stand for a value which is known where the coordinator runs: any of them may hold a variable.
const (
	variablePattern = `\$\{`
	numberPattern   = `^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$|` + variablePattern
	durationPattern = `^([0-9]+([.][0-9]+)?(ns|us|µs|ms|s|m|h))+$|` + variablePattern
)

var (
	// YAML reads a text as a number or a truth value where it looks like one, and Parse reads those as text.
	anyText      = object{"type": []string{"string", "number", "boolean"}}
	aNumber      = object{"type": []string{"number", "string"}, "pattern": numberPattern}
	aTruthValue  = object{"type": []string{"boolean", "string"}, "pattern": `^(true|false)$|` + variablePattern}
	aDuration    = object{"type": "string", "pattern": durationPattern}
	anInteger    = object{"type": []string{"integer", "string"}, "pattern": numberPattern}
	mapOfTexts   = object{"type": "object", "additionalProperties": anyText}
	texts        = listOr(anyText)
	oneOrNumbers = listOr(anInteger)
	hostNames    = object{"anyOf": []any{
		anyText, object{"type": "array", "items": anyText, "maxItems": catalog.NeedsMax},
	}}
)

// listOr is a list of values, or one of them alone.
func listOr(item object) object {
	return object{"anyOf": []any{item, object{"type": "array", "items": item, "minItems": 1}}}
}

// enum is one of some words.
func enum(words ...string) object {
	return object{"anyOf": []any{object{"enum": words}, object{"type": "string", "pattern": variablePattern}}}
}

// Schema returns the JSON Schema of catalogs, draft 2020-12, for editors that complete and check YAML. It has the keys
// and the forms of their values. What depends on several keys Parse alone knows: a file that fits the schema may have
// mistakes, and one without mistakes fits.
func Schema() []byte {
	top := mappingOf(object{
		"page": mappingOf(object{
			"title": anyText, "url": anyText, "links": mapOfTexts, "accent": anyText, "logo": anyText,
		}),
		"defaults": mappingOf(object{
			"interval": aDuration, "timeout": aDuration,
		}),
		"regions": object{"type": "array", "minItems": 1, "items": mappingOf(regionKeys(), "name")},
		"hosts":   object{"type": "array", "minItems": 1, "items": mappingOf(hostKeys(), "name", "region")},
		"incidents": mappingOf(object{"publish": anyText, "templates": arrayOf(
			mappingOf(object{"name": anyText, "title": anyText, "text": anyText}, "name", "text"), catalog.TemplatesMax,
		)}),
		"notify": notifySchema(),
		"announce": arrayOf(
			mappingOf(object{"url": anyText, "what": wordsOf(catalog.AnnounceKinds()...)}, "url"),
			catalog.AnnouncesMax,
		),
		"rule": mappingOf(fieldsOf(reflect.TypeFor[catalog.Rule]())),
		"sla":  mappingOf(slaKeys()),
	}, "regions", "hosts")
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["title"] = "A catalog of probemesh"
	defs := object{}
	for _, kind := range catalog.Kinds() {
		defs[kind] = mappingOf(checkKeys(kind), "kind")
	}
	top["$defs"] = defs
	text, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		return nil // not reached: all of it can be encoded
	}
	return append(text, '\n')
}

// mappingOf is a mapping with these keys and no others.
func mappingOf(keys object, required ...string) object {
	out := object{"type": "object", "properties": keys, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// arrayOf is a list of at most so many items.
func arrayOf(item object, most int) object {
	return object{"type": "array", "items": item, "maxItems": most}
}

// wordsOf is one of some words or a list of them, in upper or lower case.
func wordsOf(words ...string) object {
	var patterns []string
	for _, w := range words {
		patterns = append(patterns, regexp.QuoteMeta(w))
	}
	word := object{"type": "string", "pattern": "^(?i:" + strings.Join(patterns, "|") + ")$|" + variablePattern}
	return object{"anyOf": []any{word, object{"type": "array", "items": word}}}
}

// notifySchema is the section notify. Names of channels, hosts and groups Parse alone knows.
func notifySchema() object {
	names := object{"anyOf": []any{anyText, object{"type": "array", "items": anyText}}}
	severity := enum(words(catalog.Severities())...)
	match := mappingOf(object{
		"host": names, "group": names, "region": names, "kind": wordsOf(catalog.Kinds()...),
		"advisory": wordsOf(catalog.Advisories()...), "severity": severity, "label": mapOfTexts,
	})
	step := mappingOf(object{"after": aDuration, "channels": names}, "after", "channels")
	return mappingOf(object{
		"mail": mappingOf(
			object{"server": anyText, "from": anyText, "user": anyText, "password": anyText},
			"server",
			"from",
		),
		"channels": arrayOf(mappingOf(object{
			"name": anyText, "email": arrayOf(anyText, catalog.EmailsMax), "webhook": anyText, "secret": anyText,
			"url": anyText,
		}, "name"), catalog.ChannelsMax),
		"routes": arrayOf(mappingOf(object{
			"match": match, "channels": names, "fallback": names, "after": aDuration, "repeat": aDuration,
			"escalate": arrayOf(step, catalog.EscalationsMax),
			"quiet":    mappingOf(object{"from": anyText, "to": anyText, "zone": anyText, "unless": severity}, "from", "to"),
		}), catalog.RoutesMax),
		"pending_after": aDuration,
	}, "channels", "routes")
}

// words returns texts of a type of their own as plain ones.
func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return out
}

func regionKeys() object {
	return object{
		"name": anyText, "city": anyText, "country": anyText, "latitude": aNumber, "longitude": aNumber,
		"provider": anyText, "anchors": object{"type": "array", "items": anyText, "maxItems": catalog.AnchorsMax},
	}
}

func hostKeys() object {
	var kinds []any
	for _, kind := range catalog.Kinds() {
		kinds = append(kinds, object{"$ref": "#/$defs/" + kind})
	}
	return object{
		"name": anyText, "was": anyText, "title": anyText, "region": anyText, "address": texts, "role": anyText,
		"public": aTruthValue, "group": anyText, "labels": mapOfTexts, "needs": hostNames,
		"checks": object{"type": "array", "maxItems": catalog.ChecksMax, "items": object{"oneOf": kinds}},
	}
}

func slaKeys() object {
	return object{
		"target":      aNumber,
		"maintenance": enum(string(sla.CountsExcluded), string(sla.CountsUp), string(sla.CountsDown)),
		"partial":     enum(string(sla.CountsDown), string(sla.CountsUp)),
		"credits": object{
			"type": "array", "maxItems": sla.CreditsMax,
			"items": mappingOf(object{"below": aNumber, "percent": aNumber}, "below", "percent"),
		},
	}
}

// checkKeys are the keys of one kind of check: those of every kind, and its options.
func checkKeys(kind string) object {
	keys := object{
		"kind": object{"const": kind}, "name": anyText, "was": anyText, "critical": aTruthValue, "public": aTruthValue,
		"interval": aDuration, "timeout": aDuration, "latency": aDuration, "loss": aNumber, "needs": hostNames,
		"families": listOr(enum(mesh.IPv4.String(), mesh.IPv6.String())),
		"except":   listOr(anyText),
	}
	maps.Copy(keys, fieldsOf(reflect.TypeOf(catalog.NewOptions(kind))))
	words := map[string][]string{
		"type": catalog.DNSTypes(), "rcode": catalog.DNSRcodes(), "method": catalog.HTTPMethods(),
	}
	for key, choices := range words {
		if _, has := keys[key]; has {
			keys[key] = enum(choices...)
		}
	}
	switch kind {
	case catalog.KindDNS:
		keys["transport"] = enum(catalog.TransportUDP, catalog.TransportTCP)
	case catalog.KindSIP:
		keys["transport"] = enum(catalog.TransportUDP, catalog.TransportTCP, catalog.TransportTLS)
	case catalog.KindHTTP:
		delete(keys, "statuses") // one key in a file
		keys["status"] = texts
		keys["redirects"] = object{"anyOf": []any{texts, object{"type": "boolean"}}}
	}
	return keys
}

// fieldsOf returns the keys of a struct's fields, as their JSON names and types say.
func fieldsOf(of reflect.Type) object {
	keys := object{}
	for _, field := range reflect.VisibleFields(of) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			keys[name] = formOf(field.Type)
		}
	}
	return keys
}

func formOf(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return aDuration
	case slices.Contains([]reflect.Kind{reflect.Int, reflect.Int64}, t.Kind()):
		return anInteger
	case t.Kind() == reflect.Float64:
		return aNumber
	case t.Kind() == reflect.Bool:
		return aTruthValue
	case t == reflect.TypeFor[[]int]():
		return oneOrNumbers
	case t.Kind() == reflect.Slice:
		return texts
	case t.Kind() == reflect.Map:
		return mapOfTexts
	}
	return anyText
}
