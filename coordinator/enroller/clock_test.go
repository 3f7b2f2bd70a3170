package enroller_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/wire"
)

func TestAJoinRequestCanAskForTheClock(t *testing.T) {
	d := open(t)
	pin, err := bus.Pin(d.server.CA())
	if err != nil {
		t.Fatal(err)
	}
	request, err := json.Marshal(wire.JoinRequest{V: wire.Version, Clock: true})
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	reply, err := busagent.RequestEnrolment(t.Context(), d.server.Servers(), pin, nil, request)
	if err != nil {
		t.Fatal(err)
	}
	var answer wire.JoinAnswer
	if err := wire.DecodeJoin(reply, &answer); err != nil || answer.Refuse != "" || answer.Sealed != nil {
		t.Fatal(answer, err)
	}
	clock := time.UnixMicro(answer.Clock)
	if clock.Before(before.Truncate(time.Microsecond)) || clock.After(time.Now()) {
		t.Errorf("the clock is %v, want between %v and %v", clock, before, time.Now())
	}
}
