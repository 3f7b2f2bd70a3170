package enroller

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/nacl/box"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Lifetime is how long a token may be used, by the coordinator's clock alone.
const Lifetime = time.Hour

// tokenRecord is stored for each token in the enrolment bucket, under the hash of the token's secret.
type tokenRecord struct {
	Host    string    `json:"host"`
	Expires time.Time `json:"expires"`
	Key     string    `json:"key,omitempty"` // the first public key that presented the token; it may retry, others may not
}

// tokenKey returns the bucket's key of a token. The secret itself is stored nowhere.
func tokenKey(secret []byte) string {
	sum := sha256.Sum256(secret)
	return "token." + hex.EncodeToString(sum[:])
}

// Invite creates a join token for the host.
func (e *Enroller) Invite(ctx context.Context, host string) (string, error) {
	key := mesh.Key(host)
	if !e.Members.KnownHost(key) {
		return "", fmt.Errorf("%s: %w; add it first", host, ErrUnknownHost)
	}
	if err := e.checkName(ctx, key); err != nil {
		return "", err
	}
	pin, err := bus.Pin(e.Issuer.CA())
	if err != nil {
		return "", err
	}
	token := wire.Token{Host: key, Servers: e.Issuer.Servers(), Pin: pin[:], Secret: make([]byte, 16)}
	if _, err := rand.Read(token.Secret); err != nil {
		return "", fmt.Errorf("create a token: %w", err)
	}
	data, err := json.Marshal(tokenRecord{Host: key, Expires: e.Now().Add(Lifetime)})
	if err != nil {
		return "", fmt.Errorf("create a token: %w", err)
	}
	return token.String(), e.Bus.SetEnrolment(ctx, tokenKey(token.Secret), data, 0)
}

// refusal is why an agent may not join. `agent join` prints it.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	refuseForged  refusal = "the token is forged: this coordinator has no record of it; ask for a new one"
	refuseLapsed  refusal = "the token has lapsed: a token lasts an hour; ask for a new one"
	refuseEnded   refusal = "the agent's key was revoked, or replaced by another that joined since; ask for a new token"
	refuseRevoked refusal = "the token was made before this host was revoked; ask for a new one"
	refuseUsed    refusal = "the token is used: another key joined with it. If you joined from another state " +
		"directory or machine, run the agent there; if not, somebody else has the token: run `coordinator revoke HOST`. " +
		"Either way, `coordinator invite HOST` makes a new token"
	refuseUnknown refusal = "the catalog no longer has this host"
	refuseName    refusal = "the agent of another host still uses this name: see `coordinator invite HOST`"
	refuseRequest refusal = "this coordinator does not understand the join request: its version may be too old"
	refuseTrouble refusal = "the coordinator could not enrol the agent just now; try again"
)

// answerJoinRequest answers one join request, or the question for the coordinator's clock that `agent doctor` asks.
// Every answer contains the clock.
func (e *Enroller) answerJoinRequest(ctx context.Context, data []byte) []byte {
	var request wire.JoinRequest
	answer := wire.JoinAnswer{V: wire.Version, Clock: time.Now().UnixMicro()}
	var err error
	if wire.DecodeJoin(data, &request) != nil || !request.Clock {
		answer.Sealed, err = e.admit(ctx, data)
	}
	if err != nil {
		e.refusals.Warn().Err(err).Msg("agent refused")
		answer.Refuse = string(refuseTrouble)
		var r refusal
		if errors.As(err, &r) {
			answer.Refuse = string(r)
		}
	}
	out, err := json.Marshal(answer)
	if err != nil {
		e.Logger.Error().Err(err).Msg("join answer not encoded")
	}
	return out
}

// admit checks a join request and returns the agent's credentials, encrypted for it.
func (e *Enroller) admit(ctx context.Context, data []byte) ([]byte, error) {
	var request wire.JoinRequest
	if err := wire.DecodeJoin(data, &request); err != nil || len(request.Seal) != 32 ||
		!bus.IsPublicKey(request.PublicKey) {
		return nil, refuseRequest
	}
	record, err := e.redeem(ctx, request)
	if err != nil {
		return nil, err
	}
	gossip, _, err := e.keyring(ctx)
	if err != nil {
		return nil, err
	}
	// Checked again, because the key may have been revoked since: see credentials. redeem checks first, so that a
	// request with a forged token does not cost the read of the keyring.
	if err := e.checkKey(ctx, record, request.PublicKey); err != nil {
		return nil, err
	}
	credentials, err := e.credentials(request.Host, request.PublicKey, gossip)
	if err != nil {
		return nil, err
	}
	if err := e.enrol(ctx, request.Host, request.PublicKey); err != nil {
		return nil, err
	}
	e.Logger.Info().Str("host", request.Host).Msg("agent joined")
	return box.SealAnonymous(nil, credentials, (*[32]byte)(request.Seal), rand.Reader)
}

// redeem checks the token and binds it to the first key that presents it.
func (e *Enroller) redeem(ctx context.Context, request wire.JoinRequest) (r tokenRecord, err error) {
	stored, revision, err := e.Bus.Enrolment(ctx, tokenKey(request.Secret))
	if errors.Is(err, bus.ErrNotFound) {
		return r, refuseForged
	}
	if err == nil {
		err = json.Unmarshal(stored, &r)
	}
	switch {
	case err != nil:
		return r, err
	case r.Host != request.Host:
		return r, refuseForged
	case r.Key != "" && r.Key != request.PublicKey:
		return r, refuseUsed
	case e.Now().After(r.Expires):
		return r, refuseLapsed
	case !e.Members.KnownHost(r.Host):
		return r, refuseUnknown
	}
	if err := e.checkName(ctx, r.Host); errors.Is(err, ErrNameInUse) {
		return r, refuseName
	} else if err != nil {
		return r, err
	}
	if err := e.checkKey(ctx, r, request.PublicKey); err != nil || r.Key == request.PublicKey {
		return r, err
	}
	r.Key = request.PublicKey
	if stored, err = json.Marshal(r); err != nil {
		return r, err
	}
	// If two keys present the token at once, the revision refuses the second.
	return r, e.Bus.SetEnrolment(ctx, tokenKey(request.Secret), stored, revision)
}

// checkKey refuses a key that has ended, and a token from before its host was revoked.
func (e *Enroller) checkKey(ctx context.Context, r tokenRecord, publicKey string) error {
	ended, err := e.Members.EndedKeys(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(ended, publicKey) {
		return refuseEnded
	}
	agent, err := e.Members.AgentOf(ctx, r.Host)
	if isNoAgent(err) {
		return nil
	}
	if err == nil && agent.Revoked.After(r.Expires.Add(-Lifetime)) {
		return refuseRevoked
	}
	return err
}

// enrol records the agent's key in the ledger. It revokes the key that the host had joined with before: its disk was
// lost, or somebody else holds it.
func (e *Enroller) enrol(ctx context.Context, host, publicKey string) error {
	before, err := e.agentsOf(ctx, host)
	if err != nil {
		return err
	}
	if err := e.Members.Enrolled(ctx, host, publicKey); err != nil {
		return err
	}
	for _, agent := range before {
		if agent.PublicKey == publicKey {
			continue
		}
		e.Logger.Info().Str("host", host).Msg("host joined again, its former key is revoked")
		if err := e.Issuer.Revoke(ctx, agent.PublicKey); err != nil {
			return err
		}
	}
	return nil
}
