package coordinator

import (
	"errors"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/errkind"
)

// unreachable are the errors of a server that does not answer, or of a stream that has no leader at the moment.
var unreachable = []error{
	nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionClosed, nats.ErrDisconnected, nats.ErrConnectionReconnecting,
	jetstream.ErrNoStreamResponse,
}

// classify gives an error of NATS its kind: unavailable if NATS could not be reached, a conflict if somebody else wrote
// before.
func classify(err error) error {
	fenced := errors.Is(appendError(err), bus.ErrFenced)
	switch {
	case slices.ContainsFunc(unreachable, func(e error) bool { return errors.Is(err, e) }):
		return errkind.Wrap(errkind.Unavailable, err)
	case fenced:
		return errkind.Wrap(errkind.Conflict, err)
	}
	return err
}

// appendError returns bus.ErrFenced for the server's refusal of a condition, and nil for its refusal of a known id: an
// earlier attempt succeeded, and only its acknowledgement was lost.
func appendError(err error) error {
	const (
		wrongLastSequence         = 10071
		wrongLastSequenceConstant = 10164
		knownID                   = 10201
	)
	var refused *jetstream.APIError
	var extended jetstream.JetStreamError
	if errors.As(err, &extended) && extended.APIError() != nil {
		refused = extended.APIError()
	} else if !errors.As(err, &refused) {
		return err
	}
	switch refused.ErrorCode {
	case knownID:
		return nil
	case wrongLastSequence, wrongLastSequenceConstant:
		return bus.ErrFenced
	}
	return err
}
