package channel_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/notify/channel"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/secret"
)

// silentServer accepts requests and answers none until it is released or the client hangs up.
type silentServer struct {
	*httptest.Server
	arrived chan struct{}
	release chan struct{}
}

func newSilentServer(t *testing.T) *silentServer {
	s := &silentServer{arrived: make(chan struct{}), release: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client hangs up
		select {
		case s.arrived <- struct{}{}:
		case <-r.Context().Done():
		case <-s.release:
		}
		select {
		case <-r.Context().Done():
		case <-s.release:
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// send makes an attempt that is given up as soon as the server has the request.
func (s *silentServer) send(t *testing.T) error {
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	ended := make(chan error)
	go func() { ended <- sender.Send(ctx, nil, s.channel(), channel.Message{ID: "m1", Body: "text"}) }()
	select {
	case <-s.arrived:
		giveUp()
		return <-ended
	case err := <-ended:
		return err
	}
}

func (s *silentServer) channel() catalog.Channel {
	address := "generic://" + strings.TrimPrefix(s.URL, "http://") + "/" + mark + "?disabletls=yes"
	return catalog.Channel{Name: "silent", URL: catalog.SecretText{Text: address}}
}

var sender = channel.Sender{Resolve: func(x catalog.SecretText) (secret.Text, error) { return secret.New(x.Text), nil }}

// Attempts at a service that never answers end, and leave neither a connection nor a goroutine.
func TestASilentServiceKeepsNothing(t *testing.T) {
	before := http.DefaultClient.Timeout
	defer channel.LimitDefaultClient(before)
	channel.LimitDefaultClient(50 * time.Millisecond)
	s := newSilentServer(t)
	for range 10 {
		if err := s.send(t); err == nil {
			t.Fatal("a message that nobody answered was sent")
		}
	}
	for stacks := goroutines(); strings.Contains(stacks, "shoutrrr"); stacks = goroutines() {
		time.Sleep(time.Millisecond)
	}
}

// goroutines returns the stacks of all goroutines.
func goroutines() string {
	stacks := make([]byte, 1<<20)
	return string(stacks[:runtime.Stack(stacks, true)])
}

// Where nothing ends the attempts at a silent service, their number is bounded, and the error says why there is no
// further one. Once they have ended, the service is used again.
func TestAttemptsThatDoNotEndAreBounded(t *testing.T) {
	s := newSilentServer(t)
	attempts := 0
	var err error
	for ; attempts < 100; attempts++ {
		if err = s.send(t); err != nil && strings.Contains(err.Error(), "attempts have not ended") {
			break
		}
	}
	if attempts != 8 || strings.Contains(err.Error(), mark) {
		t.Errorf("%d attempts are under way, then %v", attempts, err)
	}
	close(s.release)
	for sender.Send(t.Context(), nil, s.channel(), channel.Message{ID: "m1", Body: "text"}) != nil {
		time.Sleep(time.Millisecond)
	}
}
