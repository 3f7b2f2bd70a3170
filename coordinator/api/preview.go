package api

import (
	"github.com/probemesh/probemesh/coordinator/editorial"
	"github.com/probemesh/probemesh/pkg/markdown"
)

// previewing is the part of a request that asks for a preview.
type previewing struct {
	Preview bool `json:"preview,omitempty" description:"answer with what readers would get, and write nothing"`
}

func (p previewing) previews() bool { return p.Preview }

// previewable is a request that may ask for a preview.
type previewable interface{ previews() bool }

// previewJSON is what readers would get of a request.
type previewJSON struct {
	Preview bool   `json:"preview" required:"true" description:"true: nothing was written"`
	Page    string `json:"page" required:"true" description:"the page as plain text"`
	HTML    string `json:"html" required:"true" description:"the written text as pages, feeds and messages have it"`
	Note    string `json:"note,omitempty" description:"what the person should know"`
}

func newPreview(page, text, note string) *previewJSON {
	return &previewJSON{Preview: true, Page: page, HTML: markdown.HTML(text, ""), Note: note}
}

// outcome is what a request did: the id of what it changed, or a preview.
type outcome struct {
	id      string
	preview *previewJSON
}

// ofIncident is the outcome of a command about an incident.
func ofIncident(w editorial.Written, err error) (outcome, error) {
	if w.Page == "" {
		return outcome{id: w.ID}, err
	}
	return outcome{preview: newPreview(w.Page, w.Text, w.Note)}, err
}

// or returns what is given; "" for nil.
func or(given *string) string {
	if given == nil {
		return ""
	}
	return *given
}
