package bus

import (
	"testing"

	"github.com/nats-io/nkeys"
)

// The enrolment key answers NATS's challenges and signs proofs of gossip. It signs as a challenge only what no proof
// can be: text of base64. See gossip.ProofMessage, and its test.
func TestOnlyAChallengeOfNATSIsSigned(t *testing.T) {
	public, seed, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := nkeys.FromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	const real = "_9Yhd2vS-x0aMPw" // of a nats-server
	signature, err := signChallenge(seed, []byte(real))
	if err != nil || pair.Verify([]byte(real), signature) != nil {
		t.Errorf("%x %v", signature, err)
	}
	for _, hostile := range []string{"", "\x13probemesh-gossip-v1\x03ams\x03lon\x20", "a challenge", "line\n",
		string(make([]byte, 40))} {
		if signature, err := signChallenge(seed, []byte(hostile)); err == nil {
			t.Errorf("%q was signed: %x", hostile, signature)
		}
	}
}

// The raw keys of gossip are those of NATS.
func TestTheRawKeysAreTheAgents(t *testing.T) {
	public, seed, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	private, err := SigningKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := VerifyingKey(public)
	if err != nil || !raw.Equal(private.Public()) {
		t.Errorf("%x %v", raw, err)
	}
	for _, wrong := range []string{"", "K", seed, public[1:]} {
		if key, err := VerifyingKey(wrong); err == nil {
			t.Errorf("%q is a public key: %x", wrong, key)
		}
	}
}
