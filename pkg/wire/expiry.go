package wire

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// expiry is what an observation reports to end soon.
type expiry struct {
	What   string `json:"k"`
	At     int64  `json:"t"` // seconds since 1970
	Issuer string `json:"n,omitempty"`
}

func encodeExpiry(e *mesh.Expiry) *expiry {
	if e == nil {
		return nil
	}
	return &expiry{clip(e.What), e.At.Unix(), clip(e.Issuer)}
}

// latestExpiry is the end of the year 9999, the latest that an X.509 certificate can have. JSON has no later times.
var latestExpiry = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()

// decode returns nil for what only a later version reports.
func (e *expiry) decode() (*mesh.Expiry, error) {
	switch {
	case e == nil:
		return nil, nil
	case len(e.What) > NameMax || len(e.Issuer) > ReasonMax:
		return nil, ErrTooLarge
	case e.At < 0 || e.At > latestExpiry:
		return nil, fmt.Errorf("%w: it ends %d s after 1970", ErrTime, e.At)
	case e.What != mesh.Certificate && e.What != mesh.Signature:
		return nil, nil
	}
	return &mesh.Expiry{What: e.What, At: time.Unix(e.At, 0).UTC(), Issuer: printable(e.Issuer)}, nil
}
