package api_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/site"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// A vote is sent at once with the pages that show it, while all is well; the front page does not.
func TestAVoteIsNewsWhereItIsShown(t *testing.T) {
	t.Parallel()
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.At = time.Now().Add(time.Minute)
	view := web.NewView(s, web.Public)
	pages := site.New(site.Config{View: view})
	a := api.New(api.Config{View: view, Pages: pages, Streams: web.StreamsConfig{Beat: 100 * time.Millisecond}})
	server := httptest.NewServer(web.NewHandler(zerolog.Nop(), web.Public, slices.Concat(pages.Routes(), a.Routes())...))
	defer server.Close()
	defer server.CloseClientConnections()
	listen := func(page string) *bufio.Scanner {
		res, err := http.Get(server.URL + "/api/v1/events?page=" + page)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() && lines.Text() != "event: status" {
		}
		return lines
	}
	front, matrix := listen("/"), listen("/matrix")
	next := *s.Snapshot
	next.At = time.Now().Add(2 * time.Minute)
	next.Hosts = slices.Clone(next.Hosts)
	for i := range next.Hosts {
		h := &next.Hosts[i]
		h.Checks = slices.Clone(h.Checks)
		for n := range h.Checks {
			h.Checks[n].RoundOpen = true
			h.Checks[n].Votes = slices.Clone(h.Checks[n].Votes)
			h.Checks[n].Votes[0].Vote = mesh.OK
		}
	}
	s.Show(&next)
	for beats := 0; matrix.Scan() && matrix.Text() != "event: page"; {
		if strings.HasPrefix(matrix.Text(), "event: beat") {
			beats++
		}
		if beats > 300 { // half a minute of them
			t.Fatal("the matrix never shows the vote")
		}
	}
	for beats := 0; beats < 10 && front.Scan(); {
		if front.Text() == "event: page" {
			t.Error("the front page is sent for a vote")
		}
		if strings.HasPrefix(front.Text(), "event: beat") {
			beats++
		}
	}
}
