package probe

import (
	"context"
	"net/netip"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// ping asks for one ICMP echo.
func (a *attempt) ping(ctx context.Context, ip netip.Addr) Result {
	rtt, err := a.network.Ping(ctx, ip)
	if err != nil {
		return classify(err)
	}
	a.stand(ctx)
	return Result{Outcome: mesh.Reachable, RTT: rtt}
}
