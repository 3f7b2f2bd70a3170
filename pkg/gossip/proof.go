package gossip

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// A memberlist acknowledgement proves nothing: it is matched by a sequence number alone, and every agent has the
// key that encrypts it. So an agent that needs evidence that a host is alive sends it a fresh nonce, and the host's
// agent signs the nonce with its enrolment key. This file is the protocol without its network and its clock;
// prover.go has both.

const (
	proofDomain    = "probemesh-gossip-v1"
	nonceSize      = 32
	nonceLife      = time.Second
	challengesMax  = 256 // unanswered at once
	hostNameMax    = 63  // bytes
	requestSize    = 192 // padded, so that an answer is never longer than its request: no amplification
	answerSize     = len(proofMagic) + 1 + nonceSize + ed25519.SignatureSize
	proofMagic     = "pmgp" // memberlist's packets begin with a byte below 16, or 244
	requestKind    = 'q'
	answerKind     = 'a'
	requestPayload = len(proofMagic) + 1 + nonceSize
)

// Nonce is 32 random bytes, used once.
type Nonce [nonceSize]byte

// ProofMessage is what the target signs for the asker. Each field has its length before it, so that no two
// triples share a message. The first byte is not printable: the same key signs the challenges of NATS, and package bus
// signs only those made of letters, digits, - and _.
func ProofMessage(asker, target string, n Nonce) []byte {
	var m []byte
	for _, field := range []string{proofDomain, asker, target, string(n[:])} {
		m = append(m, byte(len(field)))
		m = append(m, field...)
	}
	return m
}

// isProofPacket reports whether a packet belongs to the proof protocol and not to memberlist.
func isProofPacket(packet []byte) bool { return bytes.HasPrefix(packet, []byte(proofMagic)) }

// request asks the target to sign the nonce for the asker.
type request struct {
	asker, target string
	nonce         Nonce
}

func (r request) encode() []byte {
	out := append([]byte(proofMagic), requestKind)
	out = append(out, r.nonce[:]...)
	for _, name := range []string{r.asker, r.target} {
		out = append(out, byte(len(name)))
		out = append(out, name...)
	}
	return append(out, make([]byte, requestSize-len(out))...)
}

func decodeRequest(packet []byte) (r request, ok bool) {
	if len(packet) != requestSize || !isProofPacket(packet) || packet[len(proofMagic)] != requestKind {
		return r, false
	}
	copy(r.nonce[:], packet[len(proofMagic)+1:])
	rest := packet[requestPayload:]
	for _, name := range []*string{&r.asker, &r.target} {
		n := int(rest[0])
		if n == 0 || n > hostNameMax {
			return r, false
		}
		*name, rest = string(rest[1:1+n]), rest[1+n:]
	}
	return r, true
}

// answer is the target's signature of the nonce. It names no host: the asker knows the target by the nonce.
type answer struct {
	nonce     Nonce
	signature []byte
}

func (a answer) encode() []byte {
	out := append([]byte(proofMagic), answerKind)
	return append(append(out, a.nonce[:]...), a.signature...)
}

func decodeAnswer(packet []byte) (a answer, ok bool) {
	if len(packet) != answerSize || !isProofPacket(packet) || packet[len(proofMagic)] != answerKind {
		return a, false
	}
	copy(a.nonce[:], packet[len(proofMagic)+1:])
	a.signature = packet[requestPayload:]
	return a, true
}

// Reasons to reject an answer.
var (
	errNonceUnknown = errors.New("the nonce was never sent, or was answered before")
	errNonceExpired = errors.New("the answer came after the nonce expired")
	errWrongSource  = errors.New("the answer did not come from the host's address in the catalog")
	errNotAdmitted  = errors.New("the host has no admitted agent")
	errBadSignature = errors.New("the signature is not the host's")
	errTooMany      = errors.New("too many unanswered requests")
)

// challenges holds the nonces that this agent sent and that are unanswered. The caller locks.
type challenges struct {
	asker string
	sent  map[Nonce]challenge
}

type challenge struct {
	target string
	at     time.Time
}

// add remembers a nonce that is sent now, and forgets those that expired.
func (c *challenges) add(now time.Time, target string, n Nonce) error {
	for old, q := range c.sent {
		if now.Sub(q.at) > nonceLife {
			delete(c.sent, old)
		}
	}
	if len(c.sent) >= challengesMax {
		return errTooMany
	}
	c.sent[n] = challenge{target, now}
	return nil
}

// verify checks an answer and returns the challenge that it settles. A nonce settles one challenge once.
func (c *challenges) verify(now time.Time, a answer, from netip.Addr, peers map[string]peer) (challenge, error) {
	q, ok := c.sent[a.nonce]
	if !ok {
		return q, errNonceUnknown
	}
	target, ok := peers[q.target]
	switch {
	case now.Sub(q.at) > nonceLife:
		delete(c.sent, a.nonce)
		return q, errNonceExpired
	case !ok || len(target.key) != ed25519.PublicKeySize:
		return q, errNotAdmitted
	case !slices.Contains(target.addresses, from):
		return q, errWrongSource
	case !ed25519.Verify(target.key, ProofMessage(c.asker, q.target, a.nonce), a.signature):
		return q, errBadSignature
	}
	delete(c.sent, a.nonce)
	return q, nil
}
