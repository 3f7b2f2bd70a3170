package main

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/enrol"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/wire"
)

// openDesk starts a real bus whose coordinator enrols NC036, until the test ends.
func openDesk(t *testing.T) *enrol.Desk {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	config, err := s.Coordinator()
	if err != nil {
		t.Fatal(err)
	}
	c, err := bus.DialCoordinator(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	desk := enrol.New(enrol.Config{
		Bus: c, Issuer: s, Logger: zerolog.Nop(),
		KnownHost: func(key string) bool { return key == "nc036" },
		Enrolled:  func(context.Context, string, string) error { return nil },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	ready := make(chan struct{})
	tasks.Go(func() { _ = desk.Run(ctx, ready) })
	<-ready
	t.Cleanup(func() { cancel(); tasks.Wait(); c.Close(); s.Close() })
	return desk
}

// tokens are one that is right, and the same with another mesh's pin, and with the port of something else beside a shut one.
func tokens(t *testing.T, desk *enrol.Desk, open, shut string) map[string]string {
	t.Helper()
	right, err := desk.Invite(t.Context(), "NC036")
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*wire.Token)) string {
		token, err := wire.ParseToken(right)
		if err != nil {
			t.Fatal(err)
		}
		change(&token)
		return token.String()
	}
	servers := func(addresses ...string) func(*wire.Token) {
		return func(t *wire.Token) { t.Servers = addresses }
	}
	good, err := wire.ParseToken(right)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"TOKEN":         right,
		"FOREIGN_TOKEN": changed(func(t *wire.Token) { t.Pin[0]++ }),
		"SHUT_TOKEN":    changed(servers("tls://" + shut)),
		"OTHER_TOKEN":   changed(servers("tls://" + open)),
		"TWO_TOKEN":     changed(servers("tls://"+shut, good.Servers[0])),
	}
}

// openResolver answers every question with "no such name", until the test ends.
func openResolver(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		question := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			// RFC 1035, section 4.1.1: it is a response, recursion is available, and the code is 3.
			question[2], question[3] = question[2]|0x80, 0x83
			question[11] = 0 // without the additional record that came along
			_, _ = conn.WriteTo(question[:min(n, 12+len("\x00\x00\x02\x00\x01"))], from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().String()
}
