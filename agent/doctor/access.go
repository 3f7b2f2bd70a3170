package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
)

// access examines whether the coordinator accepts the agent's credentials, by connecting with them once.
func (e *examiner) access(ctx context.Context) Finding {
	if !e.config.Joined || e.config.Token != "" {
		return Finding{}
	}
	if len(e.chain) == 0 { // without one, the certificate is wrong or no port is open, which other findings say
		return e.skipped(Access, "there is no coordinator of this mesh to ask")
	}
	const rejoin = "`coordinator invite HOST` there, then here `agent join TOKEN`"
	token, err := bus.ReadJWT(e.config.JWT)
	if err != nil {
		return fault(Access, "the identity's credentials are damaged: "+err.Error(), rejoin)
	}
	err = busagent.Authenticate(ctx, busagent.Config{
		Name: e.config.Name, Endpoint: bus.Endpoint{Servers: e.open, CA: e.config.CA},
		JWT: e.config.JWT, Seed: e.config.Seed, Dial: e.network.Dial,
	})
	now := time.Now().Add(e.config.ClockOffset)
	switch {
	case err == nil:
		return ok(Access, "the coordinator accepts the credentials of "+e.config.Name)
	case !errors.Is(err, busagent.ErrRefused):
		return fault(Access, "the coordinator could not be asked: "+err.Error(), "try again")
	case !token.Expires.IsZero() && now.After(token.Expires):
		return fault(Access, "the credentials of "+e.config.Name+" expired "+duration(now.Sub(token.Expires))+" ago",
			rejoin)
	}
	return fault(Access, "the coordinator refuses the credentials of "+e.config.Name+
		": this agent was revoked, or another joined in its place", rejoin)
}
