package file

import (
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/catalog"
)

// parseHTTP parses the keys of a check of a web server.
func parseHTTP(p *parser, m *mapping) catalog.HTTP {
	var o catalog.HTTP
	if p.secrets.url(m, "url", &o.URL) {
		p.url(m.values["url"], o.URL)
	} else {
		m.required("url", "an http check")
	}
	parseStatus(m, &o)
	m.choice("method", &o.Method, catalog.HTTPMethods())
	parseBody(p, m, &o)
	parseHeaders(p, m, &o)
	parseCredentials(p, m, &o)
	parseRedirects(m, &o)
	m.boolean("http2", &o.HTTP2)
	parsePhases(m, &o)
	parseVerification(m, &o.Verification)
	const https = "write an https URL"
	plain := strings.HasPrefix(o.URL, "http:")
	m.only(!plain, https, "an https URL: a plain http URL has no certificate", verificationKeys...)
	m.only(!plain, https, "an https URL", "http2")
	return o
}

// parseStatus parses one status, or a list of statuses and ranges.
func parseStatus(m *mapping, o *catalog.HTTP) {
	o.Status = 200
	n := m.values["status"]
	_, isList := n.(*ast.SequenceNode)
	text := ""
	if n != nil && !isList {
		text, _ = m.reader.scalar(n, "status")
	}
	if _, err := strconv.Atoi(text); !isList && (err == nil || !strings.Contains(text, "-")) {
		m.integer("status", &o.Status, 100, 599)
		return
	}
	o.Status = 0
	m.texts("status", &o.Statuses, catalog.ListMax, func(text string) error {
		_, _, err := catalog.StatusRange(text)
		return err
	}, "write statuses and ranges from 100 to 599, as in [200, 300-399]")
}

// parseBody parses what the body must have, which may be secrets.
func parseBody(p *parser, m *mapping, o *catalog.HTTP) {
	p.secrets.text(m, "body", &o.Body)
	if p.secrets.text(m, "body_match", &o.BodyMatch) {
		p.pattern(m.values["body_match"], o.BodyMatch)
	}
	if n := m.get("body_json"); n != nil {
		o.BodyJSON = map[string]string{}
		pairs := m.reader.mapping(n, "body_json")
		if pairs == nil {
			return
		}
		for _, path := range pairs.keys {
			var value string
			if err := catalog.ValidJSONPath(path); err != nil {
				m.reader.mistake(pairs.at[path], "write names and numbers of items with dots between", "%s", err)
			}
			p.secrets.item(pairs, path, catalog.JSONKey(path), &value)
			o.BodyJSON[path] = value
		}
		atMost(pairs, n, "body_json")
	}
	m.only(m.at["body"] == nil, "keep one of them", "a check without body", "body_match", "body_json")
	m.only(m.at["body_match"] == nil, "keep one of them", "a check without body_match", "body_json")
	m.only(o.Method != "HEAD", "write another method", "a method whose answers have a body", "body", "body_match",
		"body_json")
}

func atMost(pairs *mapping, n ast.Node, key string) {
	if len(pairs.keys) == 0 || len(pairs.keys) > catalog.ListMax {
		pairs.reader.mistake(n, "write 1 to "+strconv.Itoa(catalog.ListMax)+" of them", "%s has %d items", key,
			len(pairs.keys))
	}
}

// parseHeaders parses the headers of the request, whose values may be secrets.
func parseHeaders(p *parser, m *mapping, o *catalog.HTTP) {
	n := m.get("headers")
	if n == nil {
		return
	}
	pairs := m.reader.mapping(n, "headers")
	if pairs == nil {
		return
	}
	o.Headers = map[string]string{}
	for _, name := range pairs.keys {
		var value string
		p.secrets.item(pairs, name, catalog.HeaderKey(name), &value)
		if err := catalog.ValidHeader(name, value); err != nil {
			m.reader.mistake(pairs.at[name], "write another header; for credentials there are user, password and bearer",
				"%s", err)
		}
		o.Headers[name] = value
	}
	atMost(pairs, n, "headers")
}

// parseCredentials parses user, password and bearer. A password is always a reference.
func parseCredentials(p *parser, m *mapping, o *catalog.HTTP) {
	parseUser(p, m, &o.User)
	parseSecret(p, m, "password", &o.Password)
	parseSecret(p, m, "bearer", &o.Bearer)
	m.boolean("plain_login", &o.PlainLogin)
	if m.at["user"] != nil {
		m.required("password", "a login")
	}
	m.only(m.at["user"] != nil, "add user", "a check with user", "password")
	m.only(m.at["bearer"] == nil, "keep one of them", "a check without bearer", "user")
	plain := strings.HasPrefix(o.URL, "http:")
	m.only(plain && o.HasCredentials(), "write an http URL", "credentials with an http URL", "plain_login")
	if o.HasCredentials() && plain && !o.PlainLogin && !p.onLoopback {
		m.reader.mistake(m.values["url"], "write an https URL, or plain_login: true if the network is your own",
			"credentials without TLS are shown to the network")
	}
}

// parseUser parses the name for a login.
func parseUser(p *parser, m *mapping, target *string) {
	if p.secrets.text(m, "user", target) && *target == "" {
		m.reader.mistake(m.values["user"], "write a name, or take user and password out", "user is empty")
	}
}

// parseSecret parses a key whose value may not be in the catalog: it is stored for ever and sent to every agent.
func parseSecret(p *parser, m *mapping, key string, target *string) {
	before := len(p.secrets.found)
	if p.secrets.text(m, key, target) && len(p.secrets.found) == before {
		m.reader.mistake(m.values[key], "write ${VAR} or file:PATH, and the "+key+" there",
			"the %s is in the catalog itself", key)
	}
}

// parsePhases parses the objectives of the phases.
func parsePhases(m *mapping, o *catalog.HTTP) {
	n := m.get("phases")
	if n == nil {
		return
	}
	pairs := m.reader.mapping(n, "phases")
	if pairs == nil {
		return
	}
	o.Phases = map[string]string{}
	for _, phase := range pairs.keys {
		var text string
		if pairs.text(phase, &text); text == "" {
			continue
		}
		if err := catalog.ValidPhase(phase, text); err != nil {
			m.reader.mistake(pairs.at[phase], "write as in {tls: 300ms, first_byte: 1s}", "%s", err)
		}
		o.Phases[phase] = text
	}
	atMost(pairs, n, "phases")
}

// parseRedirects parses the hosts to which redirects are followed; true stands for the URL's own.
func parseRedirects(m *mapping, o *catalog.HTTP) {
	n := m.values["redirects"]
	if b, ok := n.(*ast.BoolNode); ok {
		m.get("redirects")
		if _, host, _, err := address.ParseURL(o.URL); err == nil && b.Value {
			o.Redirects = []string{host.String()}
		}
		return
	}
	m.texts("redirects", &o.Redirects, catalog.ListMax, func(text string) error {
		_, err := address.ParseHost(text)
		return err
	}, "write true for the URL's own host, or hosts, as in [www.example.net]")
}
