package server

import (
	"fmt"

	natsd "github.com/nats-io/nats-server/v2/server"
)

// Stopped reports whether the streams stopped, which the server has them do when it finds no room on the disk.
// Those of a cluster of its own are the business of whoever runs it.
func (s *Server) Stopped() bool { return s.server != nil && !s.server.JetStreamEnabled() }

// Revive closes the streams and opens them again. A stream that once found no room on the disk takes nothing any more until
// then, however much room there is.
func (s *Server) Revive() error {
	if s.server == nil {
		return nil
	}
	if err := s.server.ShutdownJetStream(); err != nil {
		return fmt.Errorf("close the streams: %w", err)
	}
	if err := s.server.EnableJetStream(&natsd.JetStreamConfig{StoreDir: s.store, SyncAlways: true, MaxStore: storeMax}); err != nil {
		_ = s.server.ShutdownJetStream() // a store that is half open is none
		return fmt.Errorf("open the streams again: %w", err)
	}
	s.log.Warn().Msg("the streams are closed and open again")
	return nil
}
