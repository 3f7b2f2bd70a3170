package agent

import (
	"context"
	"time"
)

// Link describes the state of an agent's connection.
type Link struct {
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`            // of the latest connect or disconnect
	Server    string    `json:"server,omitempty"` // URL, while connected
	Error     string    `json:"error,omitempty"`  // the latest one; it may be older than the connection
}

// Link returns the state of the connection.
func (c *Conn) Link() Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := Link{Connected: !c.since.IsZero(), Since: c.changedAt, Error: c.lastError}
	if l.Connected {
		l.Server = c.nats.ConnectedUrlRedacted()
	}
	return l
}

// Connected reports whether there is a connection, and since when.
func (c *Conn) Connected() (since time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since, !c.since.IsZero()
}

// ConnectionChanged receives a value whenever Connected may return something else than before.
func (c *Conn) ConnectionChanged() <-chan struct{} { return c.changed }

// Reconnected receives a value after each new connection.
func (c *Conn) Reconnected() <-chan struct{} { return c.reconnected }

// setConnected records that the connection began or ended.
func (c *Conn) setConnected(up bool, err error) {
	c.recordError(err)
	c.mu.Lock()
	c.since, c.changedAt = time.Time{}, time.Now()
	if c.cut != nil {
		c.cut()
	}
	if up {
		c.since = c.changedAt
		c.line, c.cut = context.WithCancel(context.Background())
	}
	c.mu.Unlock()
	if up {
		signal(c.reconnected)
		c.log.Info().Msg("NATS connected")
	} else {
		c.log.Warn().Err(err).Msg("NATS disconnected")
	}
	signal(c.changed)
}

// signal sends to a channel of one place; a signal that was not received yet is enough.
func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// whileConnected returns a context that ends with ctx or with the present connection.
func (c *Conn) whileConnected(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line == nil {
		return ctx, cancel
	}
	stop := context.AfterFunc(c.line, cancel)
	return ctx, func() { stop(); cancel() }
}

// recordError remembers why the connection ended, or why there is none yet.
func (c *Conn) recordError(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastError = err.Error()
}
