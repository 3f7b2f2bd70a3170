package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/swaggest/jsonschema-go"
	"github.com/swaggest/openapi-go"
	"github.com/swaggest/openapi-go/openapi31"

	"github.com/probemesh/probemesh/coordinator/web"
)

const (
	// tokenScheme is the name of the security scheme in the document.
	tokenScheme = "token"

	about = "The status of every host with each region's vote, and, with a token, everything that people write. " +
		"`coordinator token add NAME --scope write` makes a token."
)

// openAPI answers with the OpenAPI document.
func (a *API) openAPI(w http.ResponseWriter, _ *http.Request) error {
	doc, err := a.document()
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-cache")
	return web.WriteJSON(w, http.StatusOK, doc)
}

// openAPIOf returns the OpenAPI document of the operations, from the types that their handlers read and write.
func openAPIOf(all []operation) (json.RawMessage, error) {
	r := openapi31.NewReflector()
	r.JSONSchemaReflector().DefaultOptions = append(r.JSONSchemaReflector().DefaultOptions,
		jsonschema.InterceptDefName(func(_ reflect.Type, name string) string {
			return strings.TrimSuffix(strings.TrimPrefix(name, "Api"), "JSON")
		}))
	r.Spec.Info.WithTitle("probemesh").WithVersion("1").WithDescription(about)
	r.Spec.Info.WithLicense(*(&openapi31.License{Name: "Apache-2.0"}).WithIdentifier("Apache-2.0"))
	r.Spec.WithServers(openapi31.Server{URL: "/"})
	r.Spec.SetHTTPBearerTokenSecurity(tokenScheme, "", "a token of `coordinator token add`")
	for _, o := range all {
		if err := o.addTo(r); err != nil {
			return nil, fmt.Errorf("describe %s %s: %w", o.method, o.path, err)
		}
	}
	return withoutSecurity(r.Spec)
}

// withoutSecurity encodes the document and says of the public operations that they need no token, which the library
// leaves out: without a word on it a reader cannot tell them from forgotten ones.
func withoutSecurity(doc *openapi31.Spec) (json.RawMessage, error) {
	data, err := doc.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, err
	}
	paths, _ := out["paths"].(map[string]any)
	for _, methods := range paths {
		for _, described := range methods.(map[string]any) {
			if op := described.(map[string]any); op["security"] == nil {
				op["security"] = []any{}
			}
		}
	}
	return json.Marshal(out)
}

// addTo adds the operation to the document.
func (o operation) addTo(r *openapi31.Reflector) error {
	op, err := r.NewOperationContext(o.method, o.path)
	if err != nil {
		return err
	}
	op.SetSummary(o.summary)
	op.SetID(o.id())
	op.SetTags(o.tag())
	if o.params != nil {
		op.AddReqStructure(o.params)
	}
	if o.body != nil {
		op.AddReqStructure(o.body)
		if o.method == http.MethodPost {
			op.AddReqStructure(keyHeader{})
		}
	}
	status := o.status
	if status == 0 {
		status = http.StatusOK
	}
	answer := o.answer
	if _, ok := o.body.(previewable); ok {
		if status == http.StatusOK {
			answer = jsonschema.OneOf(o.answer, previewJSON{})
		} else {
			op.AddRespStructure(previewJSON{}, openapi.WithHTTPStatus(http.StatusOK))
		}
	}
	op.AddRespStructure(answer, openapi.WithHTTPStatus(status), openapi.WithContentType(o.contentType))
	for _, status := range o.failures() {
		op.AddRespStructure(web.Failure{}, openapi.WithHTTPStatus(status))
	}
	if o.scope != "" {
		op.AddSecurity(tokenScheme)
	}
	return r.AddOperation(op)
}

// failures lists the statuses of the operation's errors.
func (o operation) failures() []int {
	all := append([]int{http.StatusTooManyRequests}, o.errors...)
	if o.scope != "" {
		all = append(all, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable)
	}
	if o.body != nil {
		all = append(all, http.StatusRequestEntityTooLarge)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// id names the operation for programs that generate clients: "get-posts-id".
func (o operation) id() string {
	name := strings.NewReplacer("/", "-", "{", "", "}", "", ".", "-").Replace(strings.TrimPrefix(o.path, "/api/v1/"))
	return strings.ToLower(o.method) + "-" + name
}

// tag is the group of the operation: the first word of its path.
func (o operation) tag() string {
	first, _, _ := strings.Cut(strings.TrimPrefix(o.path, "/api/v1/"), "/")
	return strings.TrimSuffix(path.Base(first), ".json")
}
