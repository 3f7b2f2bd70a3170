package server

import (
	"fmt"

	natsd "github.com/nats-io/nats-server/v2/server"
)

// Stopped reports whether JetStream stopped, as the server makes it do when the disk is full. For a cluster it is
// false: its operator watches that.
func (s *Server) Stopped() bool { return s.server != nil && !s.server.JetStreamEnabled() }

// Revive closes the streams and opens them again. A stream that once found the disk full refuses writes until then,
// however much space there is.
func (s *Server) Revive() error {
	if s.server == nil {
		return nil
	}
	if err := s.server.ShutdownJetStream(); err != nil {
		return fmt.Errorf("close the streams: %w", err)
	}
	config := &natsd.JetStreamConfig{StoreDir: s.store, SyncAlways: true, MaxStore: storeMax}
	if err := s.server.EnableJetStream(config); err != nil {
		_ = s.server.ShutdownJetStream() // half of the streams would be open
		return fmt.Errorf("open the streams again: %w", err)
	}
	s.log.Warn().Msg("streams reopened")
	return nil
}
