package site_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// photographAll writes pictures of pages in a state, at three widths, light and dark.
func photographAll(t *testing.T, ctx context.Context, state, address, dir string) {
	t.Helper()
	for name, path := range pictured(state) {
		testenv.PhotographAll(t, ctx, address+path, filepath.Join(dir, state+"-"+name), 360, 768, 1280)
	}
}

// keepFresh makes a state one of now until it is stopped, as a running judge does: its pages would show that they are
// out of date, in grey. One state is to show that.
func keepFresh(state webtest.State) (stop func()) {
	if state.Name == "out-of-date" {
		return func() {}
	}
	ended, stopped := make(chan struct{}), make(chan struct{})
	snapshot := *state.Source.Snapshot
	go func() {
		defer close(stopped)
		for tick := time.NewTicker(time.Second); ; {
			next := snapshot
			next.At = time.Now()
			state.Source.Show(&next)
			select {
			case <-ended:
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(ended); <-stopped }
}

// pictured are the pages that are worth a picture in a state, by their names.
func pictured(state string) map[string]string {
	pages := map[string]string{"front": "/"}
	switch state {
	case "all-well":
		pages["host"], pages["matrix"], pages["history"] = "/hosts/NC036", "/matrix", "/history"
		pages["post"] = "/posts/rack"
	case "one-down":
		pages["check"], pages["incident"] = "/hosts/NC036/checks/sending-mail", "/incidents/b1-1"
		pages["matrix"] = "/matrix"
	case "maintenance":
		pages["maintenance"] = "/maintenance"
	case "long-names":
		pages["host"], pages["matrix"] = "/hosts/NC036", "/matrix"
	}
	return pages
}
