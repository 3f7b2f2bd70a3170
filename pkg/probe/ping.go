package probe

import (
	"context"
	"net/netip"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// ping asks for one ICMP echo.
func (a attempt) ping(ctx context.Context) Result {
	var rtt time.Duration
	err := a.each(ctx, func(ip netip.Addr) (err error) {
		rtt, err = a.network.Ping(ctx, ip)
		return err
	})
	if err != nil {
		return classify(err)
	}
	a.connected()
	return Result{Outcome: mesh.Reachable, RTT: rtt}
}
