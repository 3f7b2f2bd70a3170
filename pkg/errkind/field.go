package errkind

import "errors"

// fieldError is an error about one field of a request.
type fieldError struct {
	error
	field string
}

// Unwrap returns the error without the field.
func (e *fieldError) Unwrap() error { return e.error }

// In says which field of a request an error is about, as the request spells it. It returns nil for nil.
func In(field string, err error) error {
	if err == nil {
		return nil
	}
	return &fieldError{err, field}
}

// Field returns the field that an error is about, or "" where no field is named.
func Field(err error) string {
	var e *fieldError
	if errors.As(err, &e) {
		return e.field
	}
	return ""
}
