// Package wire encodes and decodes the messages on NATS: batches of observations from agents, and catalogs, rosters
// and control messages of the coordinator. Decoders ignore unknown fields, so that versions N and N-1 work together,
// and bound every size and count, since no peer is trusted.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Version is the format that the Encode functions write.
const Version = 1

// Bounds of a batch. An agent with a hundred hosts sends some hundred observations every two seconds at most.
const (
	// BatchSendMax bounds an encoded batch in bytes. EncodeBatch refuses larger ones, which senders then split.
	BatchSendMax = 32 << 10
	// BatchFormerMax is the largest batch of version N-1, which splits by count alone: 500 observations of 256 bytes.
	// An ordinary observation has 73, and a reason adds some 40 unless it quotes a server's greeting. NATS refuses
	// larger batches; such an agent logs that and counts the observations as dropped. BatchSendMax replaces it as
	// soon as N-1 splits by size too.
	BatchFormerMax = 128 << 10
	// BatchBytesMax bounds what DecodeBatch accepts. Recorded traffic of the first versions may exceed what is sent
	// today.
	BatchBytesMax   = 256 << 10
	ObservationsMax = 4096
	NameMax         = 100 // bytes of a check's name
	ReasonMax       = 300 // bytes of a reason
	ElapsedMax      = 2 * time.Minute
	SentMax         = 100            // probes of one observation
	AgeMax          = 48 * time.Hour // what the stream retains
)

// Why a message is not accepted.
var (
	// ErrTooLarge means that a message exceeds the bounds of its kind.
	ErrTooLarge = errors.New("too large")
	// ErrTime means that a message has an impossible time: one in the future, or a negative duration.
	ErrTime = errors.New("impossible time")
	// ErrTooOld means that an observation is older than what the stream retains. It may have waited in its agent.
	ErrTooOld = errors.New("older than what the stream retains")
)

// batch is the body of a batch. Its times are microseconds since the batch was opened, so that a batch which is sent
// again has the same bytes and NATS recognises the repeat. How long ago it was opened is in a header.
type batch struct {
	V            int           `json:"v"`
	Agent        string        `json:"a"`
	Epoch        uint64        `json:"e,string"`
	Sequence     uint64        `json:"n"`
	Revision     string        `json:"c,omitempty"`
	Version      string        `json:"ver,omitempty"`
	Wall         int64         `json:"w"` // the agent's wall clock when the batch was opened, microseconds since 1970
	Lag          int64         `json:"lag,omitempty"`
	Queued       int           `json:"q,omitempty"`
	Dropped      uint64        `json:"d,omitempty"`
	SpoolOff     string        `json:"so,omitempty"`
	AnchorsFail  bool          `json:"af,omitempty"`
	Refusal      *refusal      `json:"cr,omitempty"` // version N-1 neither sends nor reads it
	Observations []observation `json:"o,omitempty"`
	Gossip       *gossip       `json:"gossip,omitempty"`
}

type refusal struct {
	Revision string `json:"c,omitempty"`
	Reason   string `json:"y"`
}

type observation struct {
	Host    string  `json:"h"`
	Check   string  `json:"k"`
	Family  uint8   `json:"f,omitempty"`
	Began   int64   `json:"t"` // may be negative: the probe was sent before the batch was opened
	Elapsed int64   `json:"el,omitempty"`
	RTT     int64   `json:"r,omitempty"`
	Outcome string  `json:"s"`
	Missed  bool    `json:"m,omitempty"`
	Round   uint64  `json:"l,omitempty"`
	Sent    int     `json:"p,omitempty"`
	Lost    int     `json:"x,omitempty"`
	Reason  string  `json:"y,omitempty"`
	Address string  `json:"ip,omitempty"`
	Expiry  *expiry `json:"en,omitempty"` // version N-1 neither sends nor reads it
	Phases  []int64 `json:"ph,omitempty"` // likewise: microseconds of connect, TLS, first byte and body
}

// outcomes are how outcomes are encoded.
var outcomes = map[mesh.Outcome]string{
	mesh.Reachable: "+", mesh.Slow: "~", mesh.Unreachable: "-", mesh.Inconclusive: "?",
}

// EncodeBatch encodes a batch, or returns ErrTooLarge if it exceeds BatchSendMax: then the caller sends fewer
// observations at once. A batch of one observation always fits. Connected is not part of the body; see EncodeHeaders.
func EncodeBatch(b *mesh.Batch) ([]byte, error) {
	out := batch{
		V: Version, Agent: b.Agent, Epoch: b.Epoch, Sequence: b.Sequence, Revision: b.Revision, Version: b.Version,
		Wall: b.Began.Add(b.Clock).UnixMicro(), Lag: b.Lag.Microseconds(), Queued: b.Queued, Dropped: b.Dropped,
		SpoolOff: clip(b.SpoolOff), AnchorsFail: b.AnchorsFail,
		Observations: make([]observation, len(b.Observations)),
		Gossip:       encodeGossip(b.Gossip, b.Began),
	}
	if b.Refusal != (mesh.Refusal{}) {
		out.Refusal = &refusal{clip(b.Refusal.Revision), clip(b.Refusal.Reason)}
	}
	for i, o := range b.Observations {
		out.Observations[i] = observation{
			Host: o.Host, Check: o.Check, Family: uint8(o.Family), Began: o.Began.Sub(b.Began).Microseconds(),
			Elapsed: o.Elapsed.Microseconds(), RTT: o.RTT.Microseconds(), Outcome: outcomes[o.Outcome],
			Missed: o.Stage == mesh.Missed, Round: o.Round, Sent: o.Sent, Lost: o.Lost, Reason: clip(o.Reason),
			Address: clip(o.Address), Expiry: encodeExpiry(o.Expiry), Phases: encodePhases(o.Phases),
		}
	}
	data, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	if len(data) > BatchSendMax || len(b.Observations) > ObservationsMax {
		return nil, fmt.Errorf("encode batch: %d bytes, %d observations: %w",
			len(data), len(b.Observations), ErrTooLarge)
	}
	return data, nil
}

// clip shortens a reason to its bound, between letters. It replaces bytes that are no letters, as a server's greeting
// may have: JSON would encode each of them as three bytes.
func clip(s string) string {
	s = printable(strings.ToValidUTF8(s, "?"))
	for len(s) > ReasonMax {
		r := []rune(s)
		s = string(r[:len(r)-1-(len(s)-ReasonMax)/4])
	}
	return s
}

// DecodeBatch decodes a batch that the stream received at a time. Age and link are those of its headers; see
// ParseHeaders.
func DecodeBatch(data []byte, age, link time.Duration, received time.Time) (*mesh.Batch, error) {
	if len(data) > BatchBytesMax {
		return nil, fmt.Errorf("decode batch: %d bytes: %w", len(data), ErrTooLarge)
	}
	in, err := readBatch(data)
	if err != nil {
		return nil, fmt.Errorf("decode batch: %w", err)
	}
	if in.V < 1 || len(in.Observations) > ObservationsMax || len(in.Revision) > NameMax || len(in.Version) > NameMax ||
		len(in.SpoolOff) > ReasonMax {
		return nil, fmt.Errorf("decode batch: version %d, %d observations: %w", in.V, len(in.Observations), ErrTooLarge)
	}
	if r := in.Refusal; r != nil && (len(r.Revision) > NameMax || len(r.Reason) > ReasonMax) {
		return nil, fmt.Errorf("decode batch: refusal: %w", ErrTooLarge)
	}
	began := received.Add(-age)
	out := &mesh.Batch{
		Agent: in.Agent, Epoch: in.Epoch, Sequence: in.Sequence,
		Revision: printable(in.Revision), Version: printable(in.Version),
		Began: began, Connected: received.Add(-link), Clock: time.UnixMicro(in.Wall).Sub(began),
		Lag: microseconds(in.Lag), Queued: max(in.Queued, 0), Dropped: in.Dropped, SpoolOff: printable(in.SpoolOff),
		AnchorsFail:  in.AnchorsFail,
		Observations: make([]mesh.Observation, len(in.Observations)),
	}
	if in.Refusal != nil {
		out.Refusal = mesh.Refusal{Revision: printable(in.Refusal.Revision), Reason: printable(in.Refusal.Reason)}
	}
	for i := range in.Observations {
		if err := in.Observations[i].decode(&out.Observations[i], began, received); err != nil {
			return nil, fmt.Errorf("decode batch: observation %d: %w", i, err)
		}
	}
	gossip, err := in.Gossip.decode(began, received)
	if err != nil {
		return nil, fmt.Errorf("decode batch: gossip: %w", err)
	}
	out.Gossip = gossip
	return out, nil
}

func (o *observation) decode(out *mesh.Observation, began, received time.Time) (err error) {
	*out = mesh.Observation{
		Host: o.Host, Check: o.Check, Family: mesh.Family(o.Family), Began: began.Add(microseconds(o.Began)),
		Elapsed: microseconds(o.Elapsed), RTT: microseconds(o.RTT), Round: o.Round,
		Sent: min(o.Sent, SentMax), Lost: min(o.Lost, o.Sent, SentMax),
		Reason: printable(o.Reason), Address: printable(o.Address),
	}
	if o.Missed {
		out.Stage = mesh.Missed
	}
	switch {
	case len(o.Host) > NameMax || len(o.Check) > NameMax || len(o.Reason) > ReasonMax || len(o.Address) > ReasonMax:
		return ErrTooLarge
	case o.Sent < 0 || o.Lost < 0:
		return errors.New("negative count")
	// The two durations are measured separately, so the round trip may seem a little longer than the probe.
	case out.Elapsed < 0 || out.Elapsed > ElapsedMax || out.RTT < 0 || out.RTT > out.Elapsed+time.Millisecond:
		return fmt.Errorf("%w: elapsed %s, round trip %s", ErrTime, out.Elapsed, out.RTT)
	// The age in the header is measured before the batch is sent, so honest times are in the past. The second is
	// tolerance.
	case out.Ended().After(received.Add(time.Second)):
		return fmt.Errorf("%w: %s in the future", ErrTime, out.Ended().Sub(received))
	case received.Sub(out.Began) > AgeMax:
		return ErrTooOld
	}
	out.Outcome, out.Reason = decodeOutcome(o.Outcome, out.Reason)
	if out.Phases, err = decodePhases(o.Phases); err != nil {
		return err
	}
	out.Expiry, err = o.Expiry.decode()
	return err
}

// decodeOutcome decodes an outcome. One that only a newer or an older version knows is inconclusive.
func decodeOutcome(letter, reason string) (mesh.Outcome, string) {
	switch letter {
	case "+":
		return mesh.Reachable, reason
	case "~":
		return mesh.Slow, reason
	case "-":
		return mesh.Unreachable, reason
	case "?":
		return mesh.Inconclusive, reason
	}
	return mesh.Inconclusive, "agent too old or too new"
}

// printable removes what an agent's text must not send to an operator's terminal, as escape sequences.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}

// microseconds converts a number from a peer. It limits it to AgeMax in both directions, so that sums cannot overflow.
func microseconds(n int64) time.Duration {
	const most = int64(AgeMax / time.Microsecond)
	return time.Duration(min(max(n, -most), most)) * time.Microsecond
}

// The headers of a batch: decimal microseconds by the agent's monotonic clock, at the moment of sending.
const (
	HeaderAge  = "Probemesh-Age"  // since the batch was opened
	HeaderLink = "Probemesh-Link" // since the agent's present connection began
)

// EncodeHeaders encodes how long ago the batch was opened and the agent's connection began.
func EncodeHeaders(age, link time.Duration) map[string]string {
	return map[string]string{
		HeaderAge:  strconv.FormatInt(age.Microseconds(), 10),
		HeaderLink: strconv.FormatInt(link.Microseconds(), 10),
	}
}

// ParseHeaders parses what EncodeHeaders wrote. A negative time is an error; one beyond AgeMax is shortened to it.
func ParseHeaders(get func(string) string) (age, link time.Duration, err error) {
	if age, err = parseAge(get(HeaderAge)); err != nil {
		return 0, 0, fmt.Errorf("header %s: %w", HeaderAge, err)
	}
	if link, err = parseAge(get(HeaderLink)); err != nil {
		return 0, 0, fmt.Errorf("header %s: %w", HeaderLink, err)
	}
	return age, link, nil
}

func parseAge(s string) (time.Duration, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, fmt.Errorf("%w: sent %d us before it was opened", ErrTime, -n)
	}
	// A connection may be older than what the stream retains. If the batch is, its observations are refused as too old.
	return microseconds(n), nil
}
