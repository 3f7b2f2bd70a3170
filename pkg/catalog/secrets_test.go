package catalog_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/secret"
)

func httpCheck(url, body string, secrets ...catalog.Reference) catalog.Check {
	return catalog.Check{
		Kind: catalog.KindHTTP, Name: "Web", Interval: 10 * time.Second, Timeout: time.Second,
		Options: catalog.HTTP{URL: url, Status: 200, Body: body}, Secrets: secrets,
	}
}

func reference(key, name, digest string) catalog.Reference {
	return catalog.Reference{Key: key, Name: name, Digest: digest}
}

func catalogOf(check catalog.Check) *catalog.Catalog {
	c := &catalog.Catalog{
		Regions: []catalog.Region{{Name: "a"}}, Rule: catalog.DefaultRule(),
		Hosts: []catalog.Host{{Name: "NC1", Region: "a", Addresses: []string{"192.0.2.1"}, Checks: []catalog.Check{check}}},
	}
	catalog.Seal(c)
	return c
}

const tokenURL = "https://a.example/status?token=${TOKEN}"

// oldCheck decodes a check as the version before references does.
func oldCheck(data []byte) (kind string, known bool, err error) {
	var c struct {
		Kind string `json:"kind"`
	}
	err = json.Unmarshal(data, &c)
	return c.Kind, c.Kind == "ping" || c.Kind == "tcp" || c.Kind == "http", err
}

func TestAProgramWithoutReferencesDoesNotProbeWithTheirNames(t *testing.T) {
	check := httpCheck(tokenURL, "", reference("url", "${TOKEN}", ""))
	data, err := json.Marshal(check)
	if err != nil {
		t.Fatal(err)
	}
	if kind, known, err := oldCheck(data); err != nil || known {
		t.Errorf("the version before would run the check: kind %q, %v", kind, err)
	}
	var again catalog.Check
	if err := json.Unmarshal(data, &again); err != nil || !reflect.DeepEqual(again, check) {
		t.Errorf("read back as %+v, %v", again, err)
	}
	// What such a program passes on has lost the options: it is a kind that this version does not know either.
	var passedOn catalog.Check
	err = json.Unmarshal([]byte(`{"kind":"http+secrets","name":"Web","interval":10000000000,"timeout":1000000000}`),
		&passedOn)
	if err != nil || passedOn.Kind != "http+secrets" || passedOn.Options != nil {
		t.Errorf("%+v, %v", passedOn, err)
	}
	encoded, err := catalog.Encode(catalogOf(passedOn))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.Decode(encoded); err != nil {
		t.Error("such a catalog is refused:", err)
	}
}

func TestAChangedValueIsNotAnotherQuestion(t *testing.T) {
	base := httpCheck(tokenURL, "", reference("url", "${TOKEN}", "01"))
	for name, c := range map[string]struct {
		other catalog.Check
		same  bool
	}{
		"another value": {httpCheck(tokenURL, "", reference("url", "${TOKEN}", "02")), true},
		"no value yet":  {httpCheck(tokenURL, "", reference("url", "${TOKEN}", "")), true},
		"another reference": {
			httpCheck("https://a.example/status?token=${OTHER}", "", reference("url", "${OTHER}", "01")), false,
		},
		"another path": {
			httpCheck("https://a.example/?token=${TOKEN}", "", reference("url", "${TOKEN}", "01")), false,
		},
		"the version before, with the value": {httpCheck("https://a.example/status?token=x.y+z", ""), true},
		"the version before, another URL":    {httpCheck("https://b.example/status?token=x", ""), false},
		"the version before, another body":   {httpCheck("https://a.example/status?token=x", "b"), false},
	} {
		if base.SameQuestion(&c.other) != c.same || c.other.SameQuestion(&base) != c.same {
			t.Errorf("%s: same question must be %t", name, c.same)
		}
	}
	file := httpCheck("https://a.example/", "file:/etc/x", reference("body", "file:/etc/x", "01"))
	old := httpCheck("https://a.example/", "the value")
	if !file.SameQuestion(&old) {
		t.Error("a file's value of the version before is another question")
	}
}

// Headers in another order are the same question, and so is a text that has a reference where a version before had the
// value, beside other references.
func TestTheOrderOfReferencesIsTheSameQuestion(t *testing.T) {
	check := func(match string, secrets ...catalog.Reference) *catalog.Check {
		c := httpCheck("https://a.example/", "", secrets...)
		c.Options = catalog.HTTP{
			URL: "https://a.example/", BodyMatch: match, Headers: map[string]string{"A": "${X}", "B": "${Y}"},
		}
		return &c
	}
	x, y := reference("headers.A", "${X}", ""), reference("headers.B", "${Y}", "")
	base := check("^v1$", x, y)
	for name, test := range map[string]struct {
		other *catalog.Check
		same  bool
	}{
		"another order":          {check("^v1$", y, x), true},
		"a reference":            {check("^${V}$", x, y, reference("body_match", "${V}", "01")), true},
		"one that cannot become": {check("^w${V}$", x, y, reference("body_match", "${V}", "01")), false},
		"another pattern":        {check("^v2$", x, y), false},
	} {
		if base.SameQuestion(test.other) != test.same || test.other.SameQuestion(base) != test.same {
			t.Errorf("%s: same question must be %t", name, test.same)
		}
	}
}

func TestAChangedValueIsAChangeWithoutALook(t *testing.T) {
	old := catalogOf(httpCheck(tokenURL, "", reference("url", "${TOKEN}", "01")))
	if same := old.WithDigests(map[string]string{"${TOKEN}": "01", "${OTHER}": "05"}); same != old {
		t.Error("the same values make another catalog")
	}
	if same := old.WithDigests(nil); same != old {
		t.Error("a value that cannot be read loses its digest")
	}
	next := old.WithDigests(map[string]string{"${TOKEN}": "02"})
	if next.Revision == old.Revision || old.Hosts[0].Checks[0].Secrets[0].Digest != "01" {
		t.Error("the revision is the same, or the catalog before was changed")
	}
	changes := catalog.Compare(old, next)
	if len(changes) != 1 || changes[0].Look || changes[0].What != "the value of a secret changes" {
		t.Errorf("%+v", changes)
	}
}

func TestResolveReplacesReferencesAndKeepsTheServer(t *testing.T) {
	values := map[string]secret.Text{
		"${TOKEN}": secret.New("v$$1"), "${UP}": secret.New("\n"), "file:/etc/x": secret.New("hidden text"),
	}
	check := httpCheck("https://a.example/$$/${TOKEN}?a=${TOKEN}", "file:/etc/x",
		reference("url", "${TOKEN}", ""), reference("body", "file:/etc/x", ""))
	got, err := check.Resolve(values)
	want := catalog.HTTP{URL: "https://a.example/$/v$$1?a=v$$1", Status: 200, Body: "hidden text"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	literal := httpCheck("https://a.example/${TOKEN}", "$$")
	if got, err := literal.Resolve(values); err != nil || !reflect.DeepEqual(got, literal.Options) {
		t.Errorf("a text without references was changed: %+v, %v", got, err)
	}
	missing := httpCheck("https://a.example/${NONE}", "", reference("url", "${NONE}", ""))
	if _, err := missing.Resolve(values); err == nil || err.Error() != "the value of ${NONE} has not arrived" {
		t.Error(err)
	}
	for name, value := range map[string]string{"a line feed": "\nx", "too long": strings.Repeat("x", 20<<10)} {
		_, err := missing.Resolve(map[string]secret.Text{"${NONE}": secret.New(value)})
		if err == nil || strings.Contains(err.Error(), value) {
			t.Errorf("%s: %v", name, err)
		}
	}
	elsewhere := httpCheck("https://a.example${NONE}/", "", reference("url", "${NONE}", ""))
	_, err = elsewhere.Resolve(map[string]secret.Text{"${NONE}": secret.New(".evil.example")})
	if err == nil {
		t.Error("a secret chose the server")
	}
}

func TestHostileReferencesAreRefused(t *testing.T) {
	many := make([]catalog.Reference, catalog.SecretsMax+1)
	for i := range many {
		many[i] = reference("url", "${TOKEN}", "")
	}
	for name, secrets := range map[string][]catalog.Reference{
		"of no key":      {reference("header", "${TOKEN}", "")},
		"not in text":    {reference("url", "${OTHER}", "")},
		"no name":        {reference("url", "token", "")},
		"relative path":  {reference("url", "file:x", "")},
		"long digest":    {reference("url", "${TOKEN}", strings.Repeat("0", 100))},
		"another digest": {reference("url", "${TOKEN}", "SECRET")},
		"too many":       many,
	} {
		data, err := catalog.Encode(catalogOf(httpCheck(tokenURL, "", secrets...)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := catalog.Decode(data); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A new field of the catalog stays with coordinators until it is listed here and in ForAgents.
func TestAgentsGetOnlyTheListedFields(t *testing.T) {
	listed := map[string]bool{"Revision": true, "Page": true, "Regions": true, "Hosts": true, "Rule": true}
	c := &catalog.Catalog{}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		fill(v.Field(i))
	}
	got := reflect.ValueOf(c.ForAgents()).Elem()
	for i := range got.NumField() {
		name := got.Type().Field(i).Name
		if got.Field(i).IsZero() == listed[name] {
			t.Errorf("the field %s of the catalog: sent to agents is %t, want %t", name, !listed[name], listed[name])
		}
	}
	check := httpCheck(tokenURL, "", reference("url", "${TOKEN}", "01"))
	whole := catalogOf(check)
	sent := whole.ForAgents().Hosts[0].Checks[0]
	if sent.Secrets[0].Digest != "" || !sent.SameQuestion(&check) || whole.Hosts[0].Checks[0].Secrets[0].Digest != "01" {
		t.Errorf("agents get %+v", sent)
	}
}

// fill sets a value that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}
