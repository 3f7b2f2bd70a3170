package lab

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// DropFrom has a firewall on a server drop what others of a region begin: its own probes of that region are answered.
func DropFrom(name, from string) action {
	return action{"drop what " + from + " begins with " + name, func(m *mesh) {
		var rules []string
		for _, h := range hosts {
			if h.region == from {
				source := "ip saddr " + m.hosts[h.name].address
				rules = append(rules, source+" icmp type echo-request drop", source+" tcp flags & (syn|ack) == syn drop")
			}
		}
		m.firewall(name, "input", rules...)
	}}
}

// OverviewSays checks that the operators' overview has a title that begins with the text within the time.
func OverviewSays(within time.Duration, text string) action {
	return Do("await on the overview: "+text, func(m *mesh) {
		eventually(m.t, within, "the overview says "+text, func() error {
			m.asked = time.Now()
			return m.overviewHas("", text)
		})
	})
}

// OverviewSaidThen checks that it does not have the title any more, and had it when OverviewSays had read it.
func OverviewSaidThen(text string) action {
	return Do("look back at the overview", func(m *mesh) {
		then := m.asked.Add(time.Second) // moments are whole seconds, and the one before may have been too early
		eventually(m.t, time.Minute, "the overview says it no more", func() error {
			if m.overviewHas("", text) == nil {
				return fmt.Errorf("it still says %q", text)
			}
			return nil
		})
		if err := m.overviewHas(then.UTC().Format(time.RFC3339), text); err != nil {
			m.t.Error(err)
		}
	})
}

// overviewHas returns an error unless the overview of a moment ("" for now) has a title that begins with the text.
func (m *mesh) overviewHas(at, text string) error {
	res, err := m.web.Get("http://127.0.0.1:8081/?format=json&table=attention&at=" + url.QueryEscape(at))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var overview struct{ Attention []struct{ Title string } }
	if err := json.NewDecoder(res.Body).Decode(&overview); err != nil {
		return fmt.Errorf("status %d: %w", res.StatusCode, err)
	}
	for _, item := range overview.Attention {
		if strings.HasPrefix(item.Title, text) {
			return nil
		}
	}
	return fmt.Errorf("at %q it needs %+v", at, overview.Attention)
}
