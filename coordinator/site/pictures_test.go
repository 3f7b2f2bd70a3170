package site_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// photographAll writes pictures of pages in a state, at three widths, light and dark.
func photographAll(t *testing.T, ctx context.Context, state, address, dir string) {
	t.Helper()
	for name, path := range pictured(state) {
		testenv.PhotographAll(t, ctx, address+path, filepath.Join(dir, state+"-"+name), 360, 768, 1280)
	}
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
