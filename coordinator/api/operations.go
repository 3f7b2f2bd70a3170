package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// operation is one address of /api/v1, as it is served and as the OpenAPI document describes it.
type operation struct {
	method, path, summary string
	scope                 operators.Scope // what a token must permit; "": it is public
	params                any             // the parameters of the path and the query, by their tags
	body                  any             // of the request; nil: none
	status                int             // of the answer; 0: 200
	answer                any             // of the type of the answer's body
	contentType           string          // of the answer; "": JSON
	errors                []int           // besides those that every address has
	handler               web.HandlerFunc
}

// Parameters.
type (
	hostPath struct {
		Host string `path:"host" description:"as the catalog names it"`
	}
	idPath struct {
		ID string `path:"id"`
	}
	updatePath struct {
		ID     string `path:"id"`
		Update string `path:"update" description:"the id of one of its updates"`
	}
	eventsQuery struct {
		Page string `query:"page" description:"a path of the site, whose page comes as a \"page\" event when it changes"`
	}
	transitionsQuery struct {
		Host  string    `query:"host" description:"one host's only"`
		Since time.Time `query:"since"`
	}
	uptimeQuery struct {
		Host  string `query:"host" description:"one host's only"`
		Month string `query:"month" pattern:"^[0-9]{4}-[0-9]{2}$" description:"as in 2025-06; without it the last days"`
		Days  int    `query:"days" minimum:"1" maximum:"400" default:"90"`
	}
	latencyParams struct {
		Host   string `query:"host" description:"one host's only"`
		Check  string `query:"check" description:"one check's only"`
		Region string `query:"region" description:"from the vantages of one region only"`
		By     string `query:"by" enum:"hour,day" default:"hour"`
		From   string `query:"from" description:"RFC 3339 or a day; without it two days, or 90 by day, before to"`
		To     string `query:"to" description:"RFC 3339 or a day; without it now"`
	}
	pageQuery struct {
		Page    int `query:"page" minimum:"1" maximum:"1000" default:"1"`
		PerPage int `query:"per_page" minimum:"1" maximum:"200" default:"200"`
	}
	auditQuery struct {
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
		Before uint64 `query:"before" description:"the sequence that the entries precede; without it the newest"`
	}
	keyHeader struct {
		Key string `header:"Idempotency-Key" maxLength:"255" description:"chosen by the client: a repeat changes nothing"`
	}
)

// operations lists every address of /api/v1.
func (a *API) operations() []operation {
	kept := func(h web.HandlerFunc) web.HandlerFunc { return a.ready.Ready(web.ByPath, h) }
	reads := []operation{
		{method: http.MethodGet, path: "/api/v1/openapi.json", summary: "This document",
			answer: map[string]any{}, handler: a.openAPI},
		{method: http.MethodGet, path: "/api/v1/matrix", summary: "Each region's vote on every check",
			answer: matrixJSON{}, handler: kept(a.matrix)},
		{method: http.MethodGet, path: "/api/v1/hosts/{host}/votes", summary: "Each region's vote on one host's checks",
			params: hostPath{}, answer: votesJSON{}, errors: []int{http.StatusNotFound},
			handler: a.ready.Ready(votesKey, a.votes)},
		{method: http.MethodGet, path: "/api/v1/transitions", summary: "The newest changes of status, oldest first",
			params: transitionsQuery{}, answer: []transitionRow{},
			errors:  []int{http.StatusBadRequest, http.StatusNotFound},
			handler: a.ready.Ready(web.WithoutQuery, a.transitions)},
		{method: http.MethodGet, path: "/api/v1/uptime", summary: "How long hosts and their checks were up",
			params: uptimeQuery{}, answer: uptimeJSON{}, errors: []int{http.StatusBadRequest, http.StatusNotFound},
			handler: a.ready.Ready(web.WithoutQuery, a.uptime)},
		{method: http.MethodGet, path: "/api/v1/latency", summary: "How long checks took to answer, by region",
			params: latencyParams{}, answer: latencyJSON{}, errors: []int{http.StatusBadRequest, http.StatusNotFound},
			handler: a.ready.Ready(web.WithoutQuery, a.latency)},
		{method: http.MethodGet, path: web.EventsPath, summary: "Changes of status as server-sent events",
			params: eventsQuery{}, answer: "", contentType: "text/event-stream", handler: a.events},
		{method: http.MethodGet, path: "/api/v1/audit", summary: "Who changed what, newest first",
			scope: operators.Read, params: auditQuery{}, answer: []ledger.AuditEntry{},
			errors: []int{http.StatusBadRequest}, handler: a.access.reads(a.auditLog)},
	}
	return slices.Concat(reads, a.postOperations(), incidentWriter{a}.operations(), maintenanceWriter{a}.operations())
}

func (a *API) postOperations() []operation {
	lost := []int{http.StatusNotFound}
	return []operation{
		{method: http.MethodGet, path: "/api/v1/posts", summary: "The newest 1,000 posts, newest first",
			scope: operators.Read, answer: []postJSON{}, handler: a.access.reads(a.listPosts)},
		{method: http.MethodGet, path: "/api/v1/posts/{id}", summary: "A post",
			scope: operators.Read, params: idPath{}, answer: postJSON{}, errors: lost, handler: a.access.reads(a.readPost)},
		changes(a, http.MethodPost, "/api/v1/posts", "Publish a post", a.publishPost, a.answerPost),
		changes(a, http.MethodPatch, "/api/v1/posts/{id}", "Change a post", a.editPost, a.answerPost),
		{method: http.MethodDelete, path: "/api/v1/posts/{id}", summary: "Remove a post and erase its texts",
			scope: operators.Write, params: idPath{}, answer: removalJSON{}, errors: lost, handler: a.removePost},
	}
}

// changes is an operation that changes something: do returns the id of what it changed, and answer what the client
// gets.
func changes[T, R any](
	a *API, method, path, summary string,
	do func(ctx context.Context, r *http.Request, body T) (outcome, error),
	answer func(ctx context.Context, id string) (R, error),
) operation {
	var body T
	var value R
	o := operation{
		method: method, path: path, summary: summary, scope: operators.Write, body: body, status: http.StatusOK,
		answer: value, errors: []int{http.StatusBadRequest, http.StatusConflict},
	}
	if strings.Contains(path, "{id}") {
		o.params, o.errors = idPath{}, append(o.errors, http.StatusNotFound)
	} else {
		o.status = http.StatusCreated
	}
	o.handler = writes(a.access, change[T]{o.status, do, func(ctx context.Context, id string) (any, error) {
		return answer(ctx, id)
	}})
	return o
}

// erases is the operation that erases the text of an update of what is at a path.
func erases(one, summary string, handler web.HandlerFunc) operation {
	return operation{
		method: http.MethodDelete, path: one + "/updates/{update}", summary: summary, scope: operators.Write,
		params: updatePath{}, answer: removalJSON{}, errors: []int{http.StatusNotFound, http.StatusConflict},
		handler: handler,
	}
}

func (o operation) route() web.Route {
	return web.Route{Pattern: o.method + " " + o.path, Handler: o.handler}
}
