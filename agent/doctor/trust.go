package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/wire"
)

// clockMax is how far this clock may be off. Observations are dated by the coordinator's clock, so nothing breaks; but looks are
// phased by this one, and a clock that is off by more is one that nobody keeps.
const clockMax = 5 * time.Second

// identity reads the token, or says where there is none to read.
func (e *examiner) identity(context.Context) Finding {
	var err error
	switch {
	case e.Token != "":
		t, err := wire.ParseToken(e.Token)
		if err != nil {
			return fault(Token, err.Error(), "copy the whole line that `coordinator invite HOST` printed")
		}
		e.Servers, e.pin, e.known = t.Servers, [32]byte(t.Pin), true
		return ok(Token, "it is whole, and for "+t.Host)
	case e.Joined:
		if e.pin, err = bus.Pin(e.CA); err != nil {
			return fault(Token, "the identity: "+err.Error(), "join anew with a token from `coordinator invite HOST`")
		}
		e.known = true
	}
	return Finding{}
}

// certificate shakes hands with the servers and looks whose they are.
func (e *examiner) certificate(ctx context.Context) Finding {
	if !e.known || len(e.open) == 0 {
		return e.skipped(Pin, "there is no open port to try")
	}
	for _, server := range e.open {
		f := e.show(ctx, server)
		if f.Level == Fault {
			return f
		}
	}
	return ok(Pin, "the server is of the mesh that this agent trusts")
}

func (e *examiner) show(ctx context.Context, server string) Finding {
	ctx, cancel := context.WithTimeout(ctx, greetWait)
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
	chain, err := bus.Greet(ctx, conn)
	if err == nil {
		err = bus.VerifyServer(chain, e.pin)
	}
	switch {
	case errors.Is(err, bus.ErrPin):
		return fault(Pin, fmt.Sprintf("%s: %s", server, err),
			"have the coordinator of this mesh make a token with `coordinator invite HOST`; if it did, something between here and there answers in its place")
	case err != nil:
		return fault(Pin, fmt.Sprintf("%s: %s", server, err),
			"see that the port is the coordinator's --nats-listen, and that nothing between here and there intercepts TLS")
	}
	e.chain = chain
	return ok(Pin, "")
}

// clock compares this machine's clock with the coordinator's.
func (e *examiner) clock(ctx context.Context) Finding {
	const remedy = "have the clock kept: timedatectl set-ntp true, or install chrony"
	if len(e.chain) == 0 {
		return e.skipped(Clock, "no coordinator to compare it with")
	}
	now := time.Now().Add(e.ClockOffset)
	if begins := e.chain[0].NotBefore; now.Before(begins) {
		return fault(Clock, "this clock is at least "+duration(begins.Sub(now))+" behind: the coordinator's certificate begins after it", remedy)
	}
	if ends := e.chain[0].NotAfter; now.After(ends) {
		return fault(Clock, "this clock is past the end of the coordinator's certificate by "+duration(now.Sub(ends))+", so it is ahead or the certificate has expired", remedy)
	}
	offset, doubt, err := e.offset(ctx)
	switch {
	case err != nil:
		return remark(Clock, "could not be compared with the coordinator's: "+err.Error(), "")
	case offset-doubt > clockMax:
		return fault(Clock, "this clock is "+duration(offset)+" ahead of the coordinator's", remedy)
	case -offset-doubt > clockMax:
		return fault(Clock, "this clock is "+duration(-offset)+" behind the coordinator's", remedy)
	}
	return ok(Clock, fmt.Sprintf("within %s of the coordinator's", duration(max(offset, -offset)+doubt)))
}

// offset asks a coordinator for its time. Half the round trip is the doubt.
func (e *examiner) offset(ctx context.Context) (offset, doubt time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, greetWait)
	defer cancel()
	request, err := json.Marshal(wire.JoinRequest{V: wire.Version, Clock: true})
	if err != nil {
		return 0, 0, err
	}
	// The round trip contains the connection too: the doubt is a bound, and need not be close.
	began := time.Now()
	reply, err := bus.RequestEnrolment(ctx, e.open, e.pin, e.network.Dial, request)
	if err != nil {
		return 0, 0, err
	}
	doubt = time.Since(began) / 2
	var answer wire.JoinAnswer
	if err := wire.DecodeJoin(reply, &answer); err != nil {
		return 0, 0, err
	}
	if answer.Clock == 0 {
		return 0, 0, errors.New("it is too old to tell its time")
	}
	return began.Add(doubt + e.ClockOffset).Sub(time.UnixMicro(answer.Clock)), doubt, nil
}

// duration is a length of time as people say it: "93 s", "2h3m0s".
func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	}
	return d.Round(time.Second).String()
}
