package bus

import "time"

// Link is how an agent's connection is doing.
type Link struct {
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`            // it is so
	Server    string    `json:"server,omitempty"` // URL, while connected
	Error     string    `json:"error,omitempty"`  // the latest one; it may be older than the connection
}

// Link tells how the connection is doing.
func (a *Agent) Link() Link {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := Link{Connected: !a.since.IsZero(), Since: a.turned, Error: a.failed}
	if l.Connected {
		l.Server = a.conn.ConnectedUrlRedacted()
	}
	return l
}

// fail remembers why the connection ended, or why there is none yet.
func (a *Agent) fail(err error) {
	if err == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = err.Error()
}
