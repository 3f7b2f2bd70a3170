// Package errkind classifies errors by what the caller can do about them. The package that detects a failure names its
// kind; an HTTP handler turns the kind into a status without knowing that package.
package errkind

import (
	"context"
	"errors"
)

// Kind is what the caller can do about an error.
type Kind int

// The kinds. An error that nothing classified is Internal.
const (
	Internal    Kind = iota // nothing: it is a defect, or something is broken here
	Invalid                 // correct the request
	NotFound                // name something that exists
	Conflict                // change what stands against the request, and repeat it
	Unavailable             // repeat the request later
)

// kindError is an error with a kind.
type kindError struct {
	error
	kind Kind
}

// Unwrap returns the error without its kind.
func (e *kindError) Unwrap() error { return e.error }

// New returns an error of the kind.
func New(kind Kind, text string) error { return &kindError{errors.New(text), kind} }

// Wrap classifies an error and keeps its text. It returns nil for nil.
func Wrap(kind Kind, err error) error {
	if err == nil {
		return nil
	}
	return &kindError{err, kind}
}

// Of returns the kind of an error: that of the outermost error in its chain that has one. A deadline that passed
// without another kind is Unavailable, because what the request waited for did not answer.
func Of(err error) Kind {
	var e *kindError
	switch {
	case errors.As(err, &e):
		return e.kind
	case errors.Is(err, context.DeadlineExceeded):
		return Unavailable
	}
	return Internal
}
