package file

import (
	"slices"
	"strconv"

	"github.com/goccy/go-yaml/ast"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// parseSIP parses the keys of a check of a phone server.
func parseSIP(m *mapping) catalog.SIP {
	var o catalog.SIP
	m.choice("transport", &o.Transport, []string{catalog.TransportUDP, catalog.TransportTCP, catalog.TransportTLS})
	o.Port = catalog.DefaultPort(o)
	m.integer("port", &o.Port, 1, 65535)
	m.integers("codes", &o.Codes, 200, 699)
	m.valid("domain", &o.Domain, catalog.ValidServerName, "write a name, as in example.net")
	parseVerification(m, &o.Verification)
	m.only(o.Transport == catalog.TransportTLS, "add transport: tls", "a check with transport: tls",
		verificationKeys...)
	return o
}

// integers parses a list of whole numbers, or one.
func (m *mapping) integers(key string, target *[]int, least, most int) {
	n := m.get(key)
	if n == nil {
		return
	}
	items := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		items = list.Values
	}
	if len(items) == 0 || len(items) > catalog.ListMax {
		m.reader.mistake(n, "write 1 to "+strconv.Itoa(catalog.ListMax)+" of them", "%s has %d items", key, len(items))
		return
	}
	var out []int
	for _, item := range items {
		text, ok := m.reader.text(item, key)
		if !ok {
			return
		}
		number, err := strconv.Atoi(text)
		if err != nil || number < least || number > most || slices.Contains(out, number) {
			m.reader.mistake(item, "write different whole numbers from "+strconv.Itoa(least)+" to "+strconv.Itoa(most),
				"%s has %.20q", key, text)
			return
		}
		out = append(out, number)
	}
	*target = out
}
