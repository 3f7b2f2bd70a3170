package server

import (
	"fmt"

	natsd "github.com/nats-io/nats-server/v2/server"
)

// Revive brings the streams back where the server stopped them, which it does for want of room on the disk and until it is
// restarted. It reports whether they were stopped.
func (s *Server) Revive() (stopped bool, err error) {
	if s.server.JetStreamEnabled() {
		s.down = 0
		return false, nil
	}
	// Seen stopped for several looks first, so that it is not met on its way down.
	if s.down++; s.down < reviveLooks {
		return true, nil
	}
	s.down = 0
	err = s.server.EnableJetStream(&natsd.JetStreamConfig{StoreDir: s.store, SyncAlways: true})
	if err != nil {
		_ = s.server.ShutdownJetStream() // a store that is half open is none
		return true, fmt.Errorf("bring the streams back: %w", err)
	}
	s.log.Warn().Msg("the streams are back")
	return true, nil
}

// reviveLooks is how often in a row the streams are seen stopped before they are brought back.
const reviveLooks = 8
