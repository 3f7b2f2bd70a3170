package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/wire"
)

// clockMax is how far this machine's clock may be off. Observations are dated by the coordinator's clock, so a wrong
// one breaks nothing; but a clock that is off by more is not synchronized at all, and the schedule would drift
// against other agents'.
const clockMax = 5 * time.Second

// identity reads the token, or the identity where there is no token.
func (e *examiner) identity(context.Context) Finding {
	var err error
	switch {
	case e.config.Token != "":
		t, err := wire.ParseToken(e.config.Token)
		if err != nil {
			return fault(Token, err.Error(), "copy the whole line that `coordinator invite HOST` printed")
		}
		e.config.Servers, e.pin, e.known = t.Servers, [32]byte(t.Pin), true
		return ok(Token, "it is complete, and for "+t.Host)
	case e.config.Joined:
		if e.pin, err = bus.Pin(e.config.CA); err != nil {
			return fault(Token, "the identity: "+err.Error(), "join again with a token from `coordinator invite HOST`")
		}
		e.known = true
	}
	return Finding{}
}

// certificate examines whether the servers belong to the mesh that the token or the identity names.
func (e *examiner) certificate(ctx context.Context) Finding {
	if !e.known || len(e.open) == 0 {
		return e.skipped(Pin, "there is no open port to try")
	}
	for _, server := range e.open {
		f := e.handshake(ctx, server)
		if f.Level == Fault {
			return f
		}
	}
	return ok(Pin, "the server belongs to the mesh that this agent trusts")
}

// handshake examines one server's certificate, and stores its chain for the clock.
func (e *examiner) handshake(ctx context.Context, server string) Finding {
	ctx, cancel := context.WithTimeout(ctx, handshakeWait)
	defer cancel()
	host, port, err := bus.HostPort(server)
	if err != nil {
		return fault(Pin, err.Error(), "ask for a new token")
	}
	conn, err := e.network.Dial(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return fault(Pin, fmt.Sprintf("%s %s", server, dialReason(err)), "try again")
	}
	defer conn.Close()
	chain, err := busagent.Handshake(ctx, conn)
	if err == nil {
		err = bus.VerifyPinned(chain, e.pin)
	}
	switch {
	case errors.Is(err, bus.ErrPin):
		return fault(Pin, fmt.Sprintf("%s: %s", server, err),
			"make a token on this mesh's coordinator with `coordinator invite HOST`; if you did, something on the way "+
				"answers in its place")
	case err != nil:
		return fault(Pin, fmt.Sprintf("%s: %s", server, err),
			"check that the port is the coordinator's --nats-listen, and that nothing on the way intercepts TLS")
	}
	e.chain = chain
	return ok(Pin, "")
}

// clock compares this machine's clock with the coordinator's.
func (e *examiner) clock(ctx context.Context) Finding {
	const remedy = "synchronize the clock: timedatectl set-ntp true, or install chrony"
	if len(e.chain) == 0 {
		return e.skipped(Clock, "no coordinator to compare it with")
	}
	now := time.Now().Add(e.config.ClockOffset)
	if begins := e.chain[0].NotBefore; now.Before(begins) {
		return fault(Clock, "this clock is at least "+duration(begins.Sub(now))+
			" behind: by it the coordinator's certificate is not valid yet", remedy)
	}
	if ends := e.chain[0].NotAfter; now.After(ends) {
		return fault(Clock, "by this clock the coordinator's certificate expired "+duration(now.Sub(ends))+
			" ago: the clock is ahead, or the certificate has expired", remedy)
	}
	offset, margin, err := e.offset(ctx)
	switch {
	case err != nil:
		return note(Clock, "cannot be compared with the coordinator's: "+err.Error(), "")
	case offset-margin > clockMax:
		return fault(Clock, "this clock is "+duration(offset)+" ahead of the coordinator's", remedy)
	case -offset-margin > clockMax:
		return fault(Clock, "this clock is "+duration(-offset)+" behind the coordinator's", remedy)
	}
	return ok(Clock, fmt.Sprintf("within %s of the coordinator's", duration(max(offset, -offset)+margin)))
}

// offset asks a coordinator for its time, and returns how far this machine's clock is ahead, give or take margin.
func (e *examiner) offset(ctx context.Context) (offset, margin time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeWait)
	defer cancel()
	request, err := json.Marshal(wire.JoinRequest{V: wire.Version, Clock: true})
	if err != nil {
		return 0, 0, err
	}
	// The round trip includes connecting, so half of it is a generous bound on the error.
	began := time.Now()
	reply, err := busagent.RequestEnrolment(ctx, e.open, e.pin, e.network.Dial, request)
	if err != nil {
		return 0, 0, err
	}
	margin = time.Since(began) / 2
	var answer wire.JoinAnswer
	if err := wire.DecodeJoin(reply, &answer); err != nil {
		return 0, 0, err
	}
	if answer.Clock == 0 {
		return 0, 0, errors.New("the coordinator is too old to report its time")
	}
	return began.Add(margin + e.config.ClockOffset).Sub(time.UnixMicro(answer.Clock)), margin, nil
}

// duration formats a length of time for people: "93 s", "2h3m0s".
func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	}
	return d.Round(time.Second).String()
}
