package mesh_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestClassifyReason(t *testing.T) {
	for reason, want := range map[string]string{
		"":                   "did not answer as expected",
		"timeout":            "did not answer",
		"timeouts are mine":  "did not answer as expected",
		"connection refused": "refused the connection",
		"refused":            "refused the connection",
		"connection reset":   "closed the connection",
		"host unreachable, says router 192.0.2.254":                   "could not be reached",
		"hung: accepted and said nothing for 3 s":                     "accepted the connection but did not answer",
		`banner "554 key=SECRET" does not match`:                      "gave an unexpected answer",
		"redirects to https://x/?key=SECRET (status 302), wanted 200": "redirected to another address",
		"certificate expired 2 days ago":                              "presented an expired certificate",
		"certificate is for SECRET, not mail.example.net":             "presented a certificate that is not valid",
		"certificate expires in 3 days, wanted 14":                    "presented a certificate that expires soon",
		"status 503":         "answered with HTTP status 503",
		"status 099":         "did not answer as expected",
		"status 600":         "did not answer as expected",
		"status +50":         "did not answer as expected",
		"status 5o3":         "did not answer as expected",
		"status 503 SECRET":  "did not answer as expected",
		"status ٥٠٣":         "did not answer as expected",
		"status 503\x00":     "did not answer as expected",
		" status 503":        "did not answer as expected",
		"SECRET: timeout":    "did not answer as expected",
		"Connection refused": "did not answer as expected",
	} {
		if got := mesh.ClassifyReason(reason).String(); got != want {
			t.Errorf("ClassifyReason(%q) = %q, want %q", reason, got, want)
		}
	}
}

// Whatever an agent writes, the result is one of our own phrases.
func TestAReasonNeverChoosesThePhrase(t *testing.T) {
	phrases := map[string]bool{}
	for kind := range mesh.FailureKind(255) {
		phrases[mesh.Failure{Kind: kind}.String()] = true
	}
	for status := 100; status <= 599; status++ {
		phrases[mesh.Failure{Kind: mesh.HTTPStatus, Status: status}.String()] = true
	}
	prefixes := []string{"", "status ", "redirects to ", "banner ", "certificate ", "TLS refused: ", "hung: "}
	rapid.Check(t, func(t *rapid.T) {
		reason := rapid.SampledFrom(prefixes).Draw(t, "prefix") + rapid.String().Draw(t, "text")
		if got := mesh.ClassifyReason(reason).String(); !phrases[got] {
			t.Fatalf("ClassifyReason(%q) = %q, which is no phrase of ours", reason, got)
		}
	})
}

func TestFailureWithAnImpossibleValueIsGeneric(t *testing.T) {
	for _, f := range []mesh.Failure{{Kind: 200}, {Kind: mesh.HTTPStatus, Status: 12345}, {Kind: mesh.HTTPStatus}} {
		if got := f.String(); strings.ContainsAny(got, "0123456789") {
			t.Errorf("%+v is %q", f, got)
		}
	}
}

func TestARegionsFailureIsThatOfMostOfItsEdges(t *testing.T) {
	bad := func(reason string) mesh.EdgeState { return mesh.EdgeState{Vote: mesh.Bad, Reason: reason} }
	v := mesh.RegionVote{Vote: mesh.Bad, Why: "timeout", Edges: []mesh.EdgeState{
		bad("timeout"), {Vote: mesh.OK, Reason: "status 503"}, bad("connection refused"), bad("connection refused"),
	}}
	if got := v.Failure().Kind; got != mesh.ConnectionRefused {
		t.Error(got)
	}
	if got := (mesh.RegionVote{Why: "timeout"}).Failure().Kind; got != mesh.NoAnswer {
		t.Error("without edges: ", got)
	}
}
