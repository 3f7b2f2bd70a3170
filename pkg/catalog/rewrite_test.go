package catalog

import (
	"reflect"
	"slices"
	"testing"
)

func TestTheSecretPartsOfATextAreMarked(t *testing.T) {
	for _, test := range []struct{ key, text, want string }{
		{"url", "https://example.net/", "https://example.net/"},
		{"url", "https://example.net", "https://example.net"},
		{"url", "https://u:p@example.net:8443/a/b%2Fc?k=v&flag#f", "https://M:M@example.net:8443/M/M?k=M&M#M"},
		{"url", "https://u@[2001:db8::1]/", "https://M@[2001:db8::1]/"},
		{"url", "://", "M"},
		{"body", "Welcome", "M"},
		{"banner", "^220 x", "M"},
	} {
		if got := markText(test.key, test.text, func(string) string { return "M" }); got != test.want {
			t.Errorf("%s %q became %q, want %q", test.key, test.text, got, test.want)
		}
	}
}

func TestValuesOfATextWithReferences(t *testing.T) {
	for _, test := range []struct {
		text, literal string
		want          []string
	}{
		{"http://a/${X}/?k=${Y}", "http://a/1/?k=2", []string{"1", "2"}},
		{"$$${X}", "$v", []string{"v"}},
		{"file:/etc/x", "v", []string{"v"}},
		{"http://a/${X}", "http://b/1", []string{"http://b/1"}}, // another address: all of it may be secret
	} {
		if got := valuesOf(test.text, test.literal); !slices.Equal(got, test.want) {
			t.Errorf("%q of %q: %q, want %q", test.literal, test.text, got, test.want)
		}
	}
}

// A text that the current catalog has as well is no secret, and one with references stays as it is.
func TestWhatIsNoSecretStays(t *testing.T) {
	host := func(o Options, secrets ...Reference) *Catalog {
		check := Check{Name: "c", Kind: KindHTTP, Options: o, Secrets: secrets}
		return &Catalog{Hosts: []Host{{Name: "A", Checks: []Check{check}}}}
	}
	plain := host(HTTP{URL: "http://a/?k=v", Body: "Welcome"})
	out, done := plain.WithoutValues(plain, func(string) string { return "M" })
	if !reflect.DeepEqual(out.Hosts, plain.Hosts) || done.Marks+done.References > 0 {
		t.Errorf("%+v %+v", out.Hosts[0], done)
	}
	referring := host(HTTP{URL: "http://a/?k=${X}"}, Reference{Key: "url", Name: "${X}"})
	out, done = referring.WithoutValues(plain, func(string) string { return "M" })
	if out.Hosts[0].Checks[0].Options.(HTTP).URL != "http://a/?k=${X}" || len(done.Values) > 0 {
		t.Errorf("%+v %+v", out.Hosts[0], done)
	}
}
