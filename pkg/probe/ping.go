package probe

import (
	"context"
	"net/netip"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// ping sends one ICMP echo request to the address.
func (a *attempt) ping(ctx context.Context, ip netip.Addr) Result {
	rtt, err := a.network.Ping(ctx, ip)
	if err != nil {
		return classify(err)
	}
	a.markConnected(ctx)
	return Result{Outcome: mesh.Reachable, RTT: rtt}
}
