// Package bus is what both ends of the mesh's NATS connection share: subjects, the messages of the streams,
// credentials, TLS trust and errors. An agent connects with bus/agent, a coordinator with bus/coordinator; bus/server
// embeds the NATS server. No package outside of pkg/bus imports NATS.
package bus

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"

	"github.com/probemesh/probemesh/pkg/errkind"
)

// The subjects of the mesh. Those that end with a dot are completed by an agent's name, a kind or an event's subject.
const (
	SubjectObservations = "mesh.obs."
	SubjectAsk          = "mesh.ask."
	SubjectControl      = "mesh.ctl."
	SubjectControlAll   = "mesh.ctl.all"
	SubjectMark         = "mesh.mark."
	SubjectLedger       = "mesh.led."
	SubjectRollup       = "mesh.rollup."
	SubjectText         = "mesh.text."
	SubjectPeople       = "mesh.people."
	SubjectEnrol        = "enrol.request"
)

// RollupEpoch is the subject, without SubjectRollup, of what a coordinator writes when it becomes the leader.
const RollupEpoch = "epoch"

// PayloadMax bounds one message in bytes. The largest is the compressed catalog of a large mesh.
const PayloadMax = 8 << 20

// ErrName reports a name that no agent may have. A name becomes part of subjects, where `*`, `>` and dots have a
// meaning.
var ErrName = errors.New("a name is 1 to 63 of a-z, 0-9 and -, and does not begin with -")

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// CheckName reports whether an agent may have the name.
func CheckName(s string) error {
	if !validName.MatchString(s) {
		return fmt.Errorf("%q: %w", s, ErrName)
	}
	return nil
}

// Errors of the bus that callers act on.
var (
	// ErrFenced reports that another coordinator has become the leader: this one must not write any more.
	ErrFenced = errkind.New(errkind.Unavailable, "another coordinator has become the leader")
	// ErrNotLeading reports a write that only the leader may make, by a coordinator that has not become the leader.
	ErrNotLeading = errkind.New(errkind.Unavailable, "this coordinator is not the leader")
	// ErrBehind reports a write that assumes that a stream ends earlier than it does.
	ErrBehind = errkind.New(errkind.Conflict, "the stream has more than this coordinator has read")
	// ErrNotFound reports that there is no such key or record.
	ErrNotFound = errors.New("key not found")
	// ErrRefused reports a batch that the stream will never accept, however often it is sent.
	ErrRefused = errors.New("NATS refuses the batch")
)

// Endpoint is where the mesh's NATS servers are, and the CA that vouches for them.
type Endpoint struct {
	Servers []string `json:"servers"` // URLs
	CA      []byte   `json:"ca"`      // PEM, one certificate or several
}

// HostPort returns the host and the port of a server's URL.
func HostPort(server string) (host, port string, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", "", err
	}
	if host, port = u.Hostname(), u.Port(); host == "" || port == "" {
		return "", "", fmt.Errorf("server %q has no host or no port: write it as tls://192.0.2.1:4222", server)
	}
	return host, port, nil
}
