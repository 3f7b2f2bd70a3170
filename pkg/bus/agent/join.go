package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/probemesh/probemesh/pkg/bus"
)

// RequestEnrolment sends a join request to a coordinator of which only the CA's fingerprint is known, and returns the
// answer. The connection has no credentials, so the server permits nothing else on it.
func RequestEnrolment(
	ctx context.Context, servers []string, pin [32]byte, dial bus.DialFunc, request []byte,
) ([]byte, error) {
	list := strings.Join(servers, ", ")
	conn, err := nats.Connect(strings.Join(servers, ","), nats.Name("joining"), nats.Timeout(bus.ConnectWait),
		nats.NoReconnect(), nats.Secure(bus.PinnedTLS(pin)), bus.WithDialer(ctx, dial))
	if err != nil {
		if errors.Is(err, nats.ErrNoInfoReceived) { // the library drops what was received instead
			err = fmt.Errorf("%w, or %w", ErrNotNATS, ErrBusy)
		}
		return nil, fmt.Errorf("reach the coordinator at %s: %w", list, err)
	}
	defer conn.Close()
	reply, err := conn.RequestWithContext(ctx, bus.SubjectEnrol, request)
	if err != nil {
		return nil, fmt.Errorf("ask the coordinator at %s: %w", list, err)
	}
	return reply.Data, nil
}
