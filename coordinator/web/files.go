package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

//go:generate sh assets/uplot/fetch.sh

// File is a file that some pages load. Its path has a hash of its content, so that browsers keep it for good.
type File struct {
	Path, MediaType string
	Body            []byte
	answer          *answer
}

// The files of pages with a chart: uPlot with what draws the charts of our pages, and the style of both.
var (
	chartScript = newFile("chart.js", "text/javascript; charset=utf-8", "/*\n"+mustRead("assets/uplot/LICENSE")+"*/\n"+
		mustRead("assets/uplot/uPlot.iife.min.js")+readAsset("assets/chart.js"))
	chartStyle = newFile("chart.css", "text/css; charset=utf-8",
		mustRead("assets/uplot/uPlot.min.css")+"\n"+readAsset("assets/chart.css"))
)

// Files lists the files that pages load.
func Files() []File { return []File{chartScript, chartStyle} }

// FileRoutes serve the files that pages load.
func FileRoutes() []Route {
	var routes []Route
	for _, f := range Files() {
		routes = append(routes, Route{Pattern: "GET " + f.Path, Handler: func(w http.ResponseWriter, r *http.Request) error {
			f.answer.serve(w, r)
			return nil
		}})
	}
	return routes
}

func newFile(name, mediaType, body string) File {
	sum := sha256.Sum256([]byte(body))
	extension := path.Ext(name)
	f := File{
		Path:      "/assets/" + strings.TrimSuffix(name, extension) + "-" + hex.EncodeToString(sum[:6]) + extension,
		MediaType: mediaType, Body: []byte(body),
	}
	header := http.Header{}
	SetMediaType(header, mediaType)
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	f.answer = newAnswer(http.StatusOK, header, f.Body)
	f.answer.compressible = true
	return f
}

func mustRead(name string) string {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // the file is embedded
	}
	return string(data)
}
