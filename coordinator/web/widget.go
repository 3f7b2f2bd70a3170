package web

import "net/http"

// Widget is the route of the script that shows the status on pages of other sites. It is less than 4 KB, since they
// load it whatever else they do.
func Widget() Route {
	h := http.Header{}
	SetMediaType(h, "text/javascript; charset=utf-8")
	h.Set("Cache-Control", "max-age=3600") // it changes less often than pages of other sites are loaded
	return Route{Pattern: "GET /widget.js", Handler: Fixed(h, []byte(readAsset("assets/widget.js")))}
}

// Fixed returns a handler that always answers with the same bytes, which it compresses once.
func Fixed(header http.Header, body []byte) HandlerFunc {
	a := newAnswer(http.StatusOK, header, body)
	a.compressible = true
	return func(w http.ResponseWriter, r *http.Request) error {
		a.serve(w, r)
		return nil
	}
}
