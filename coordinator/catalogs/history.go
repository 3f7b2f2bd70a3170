package catalogs

import (
	"context"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
)

// LastChange returns the newest catalog, by the time of the wall clock, that changed something of the host with the
// key.
func (s *Store) LastChange(
	ctx context.Context, host string, at time.Time,
) (change ledger.Change, found bool, err error) {
	stream, err := s.config.Bus.Timeline(ctx)
	if err != nil {
		return change, false, err
	}
	meshTime, err := stream.AtWall(at)
	if err != nil {
		return change, false, err
	}
	return s.config.View.LastChange(ctx, host, meshTime)
}
