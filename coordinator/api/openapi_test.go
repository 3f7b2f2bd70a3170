package api_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/api"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/testenv"
)

// document is the part of an OpenAPI document that the tests read.
type document struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		OperationID string                     `json:"operationId"`
		RequestBody json.RawMessage            `json:"requestBody"`
		Responses   map[string]json.RawMessage `json:"responses"`
		Security    []map[string][]string      `json:"security"`
		Parameters  []struct{ Name, In string }
	} `json:"paths"`
	Components struct {
		Schemas map[string]struct {
			Required   []string
			Properties map[string]json.RawMessage
		} `json:"schemas"`
	} `json:"components"`
}

// Every address of /api/v1 is in the document, and the document has no other.
func TestTheOpenAPIDocumentHasEveryAddress(t *testing.T) {
	source := webtest.NewSource(t, mesh.Up, mesh.Operational)
	routes := api.New(api.Config{View: web.NewView(source, web.Public)}).Routes()
	var doc document
	decode(t, public(source), "/api/v1/openapi.json", &doc)
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("OpenAPI %q", doc.OpenAPI)
	}
	served := map[string]bool{}
	for _, r := range routes {
		method, path, _ := strings.Cut(r.Pattern, " ")
		if !strings.HasPrefix(path, "/api/v1/") {
			continue
		}
		served[method+" "+path] = true
		op, ok := doc.Paths[path][strings.ToLower(method)]
		if !ok {
			t.Errorf("%s is not described", r.Pattern)
		}
		writes := method != http.MethodGet
		if _, denies := op.Responses["401"]; denies != (len(op.Security) > 0) || writes && !denies {
			t.Errorf("%s: the document does not say who may: %v %v", r.Pattern, op.Security, op.Responses)
		}
	}
	described := 0
	for path, methods := range doc.Paths {
		for method := range methods {
			described++
			if !served[strings.ToUpper(method)+" "+path] {
				t.Errorf("%s %s is described and not served", method, path)
			}
		}
	}
	if described < 12 {
		t.Errorf("%d addresses are described", described)
	}
}

// The schemas are those of the answers: the matrix of a running page has the properties that the document lists.
func TestTheOpenAPIDocumentDescribesTheAnswers(t *testing.T) {
	h := public(webtest.NewSource(t, mesh.Up, mesh.Operational))
	var doc document
	decode(t, h, "/api/v1/openapi.json", &doc)
	for path, schema := range map[string]string{
		"/api/v1/matrix": "Matrix", "/api/v1/hosts/NC036/votes": "Votes",
	} {
		var answer map[string]json.RawMessage
		decode(t, h, path, &answer)
		for key := range answer {
			if _, ok := doc.Components.Schemas[schema].Properties[key]; !ok {
				t.Errorf("%s: the schema %s lacks %q: %v", path, schema, key, doc.Components.Schemas)
			}
		}
	}
	post := doc.Components.Schemas["PostDraft"]
	if strings.Join(post.Required, " ") != "title text" || len(post.Properties) != 6 {
		t.Errorf("a post's schema is %+v", post)
	}
}

// A validator that others wrote accepts the document.
func TestAValidatorAcceptsTheOpenAPIDocument(t *testing.T) {
	testenv.RequirePrograms(t, map[string]string{"npx": "npm"})
	source := webtest.NewSource(t, mesh.Up, mesh.Operational)
	w := webtest.Get(t, web.NewHandler(zerolog.Nop(), web.Public,
		api.New(api.Config{View: web.NewView(source, web.Public)}).Routes()...), "/api/v1/openapi.json")
	validate := func(data []byte) error {
		file := filepath.Join(t.TempDir(), "openapi.json")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		const validator = "@seriousme/openapi-schema-validator@2.11.0"
		out, err := exec.CommandContext(t.Context(), "npx", "--yes", "-p", validator, "validate-api", file).CombinedOutput()
		t.Logf("%s: %s", validator, out)
		return err
	}
	if err := validate(w.Body.Bytes()); err != nil {
		t.Error(err)
	}
	broken := strings.Replace(w.Body.String(), `"in": "path"`, `"in": "nowhere"`, 1)
	if broken == w.Body.String() || validate([]byte(broken)) == nil {
		t.Error("the validator accepts a document that is wrong")
	}
}
