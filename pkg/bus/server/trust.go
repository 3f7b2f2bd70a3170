package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/privatefile"
)

// seeds are the private keys that sign all credentials of the mesh, as stored in keys.json.
type seeds struct {
	Operator string `json:"operator"`
	System   string `json:"system"` // account
	Mesh     string `json:"mesh"`   // account: the streams and the coordinators
	Agents   string `json:"agents"` // account: no JetStream, only what it imports
	Scope    string `json:"scope"`  // the scoped signing key of the agents' account
	Enrol    string `json:"enrol"`  // account: connections without credentials
}

// trust is the operator, the accounts, and the keys that sign their users. All maps are by account, as in accountNames.
type trust struct {
	keys     map[string]nkeys.KeyPair
	public   map[string]string
	operator *jwt.OperatorClaims
	accounts string                // directory of the accounts' JWTs
	resolver *natsd.DirAccResolver // of a server in this process
	sentinel string                // JWT of the user that a connection without credentials is
	life     time.Duration         // of an agent's credentials
}

// enrolPayload bounds a join request in bytes. Real ones have a few hundred.
const enrolPayload = 2048

// openTrust reads the keys from the directory, or creates them there.
func openTrust(dir string) (*trust, error) {
	s, err := openSeeds(filepath.Join(dir, "keys.json"))
	if err != nil {
		return nil, fmt.Errorf("open the NATS keys: %w", err)
	}
	t := &trust{accounts: filepath.Join(dir, "accounts"), keys: map[string]nkeys.KeyPair{}, public: map[string]string{}}
	for name, seed := range map[string]string{
		"operator": s.Operator, "system": s.System, "mesh": s.Mesh, "agents": s.Agents, "scope": s.Scope, "enrol": s.Enrol,
	} {
		if t.keys[name], err = nkeys.FromSeed([]byte(seed)); err != nil {
			return nil, fmt.Errorf("open the NATS key %s: %w", name, err)
		}
		if t.public[name], err = t.keys[name].PublicKey(); err != nil {
			return nil, fmt.Errorf("open the NATS key %s: %w", name, err)
		}
	}
	return t, t.sign()
}

func openSeeds(path string) (s seeds, err error) {
	data, err := privatefile.Read(path)
	if err == nil {
		return s, json.Unmarshal(data, &s)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	for _, key := range []struct {
		seed *string
		make func() (nkeys.KeyPair, error)
	}{
		{&s.Operator, nkeys.CreateOperator}, {&s.System, nkeys.CreateAccount}, {&s.Mesh, nkeys.CreateAccount},
		{&s.Agents, nkeys.CreateAccount}, {&s.Scope, nkeys.CreateAccount}, {&s.Enrol, nkeys.CreateAccount},
	} {
		pair, err := key.make()
		if err != nil {
			return s, err
		}
		seed, err := pair.Seed()
		if err != nil {
			return s, err
		}
		*key.seed = string(seed)
	}
	if data, err = json.Marshal(s); err != nil {
		return s, err
	}
	return s, privatefile.Write(path, data)
}

// sign creates the JWTs of the operator and the sentinel, and those of the accounts that are missing.
func (t *trust) sign() error {
	t.operator = jwt.NewOperatorClaims(t.public["operator"])
	// The system account is where servers accept pushed accounts, such as revocations.
	t.operator.Name, t.operator.SystemAccount = "probemesh", t.public["system"]
	signed, err := t.operator.Encode(t.keys["operator"])
	if err != nil {
		return fmt.Errorf("sign the operator: %w", err)
	}
	// The server needs the claims as they are decoded, with their signature.
	if t.operator, err = jwt.DecodeOperatorClaims(signed); err != nil {
		return fmt.Errorf("sign the operator: %w", err)
	}
	if err := t.createAccounts(); err != nil {
		return err
	}
	return t.signSentinel()
}

// signSentinel creates the user that a connection without credentials is: it may send join requests, and nothing else.
func (t *trust) signSentinel() error {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return fmt.Errorf("create the sentinel: %w", err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		return fmt.Errorf("create the sentinel: %w", err)
	}
	u := jwt.NewUserClaims(public)
	u.Name, u.BearerToken = "sentinel", true // a bearer token needs no key, which a joining agent does not have
	u.Pub.Allow.Add(bus.SubjectEnrol)
	u.Sub.Allow.Add("_INBOX.>") // answers are encrypted for the one that asked, so reading another's reveals nothing
	u.Limits.Payload, u.Limits.Subs = enrolPayload, 2
	if t.sentinel, err = u.Encode(t.keys["enrol"]); err != nil {
		return fmt.Errorf("sign the sentinel: %w", err)
	}
	return nil
}

// configure sets the server's options to what was signed.
func (t *trust) configure(opts *natsd.Options) {
	opts.TrustedOperators = []*jwt.OperatorClaims{t.operator}
	opts.SystemAccount = t.public["system"]
	opts.AccountResolver = t.resolver
	opts.DefaultSentinel = t.sentinel
}

// agent signs an agent's key with the scoped key, whose template adds the permissions by the agent's name.
func (t *trust) agent(name, publicKey string) (string, error) {
	u := jwt.NewUserClaims(publicKey)
	u.Name, u.IssuerAccount = name, t.public["agents"]
	u.Expires = time.Now().Add(t.life).Unix()
	// The permissions are in the agents' account, so that an upgrade changes them for agents that have joined.
	u.SetScoped(true)
	signed, err := u.Encode(t.keys["scope"])
	if err != nil {
		return "", fmt.Errorf("sign the agent %s: %w", name, err)
	}
	return signed, nil
}

// user creates credentials of this process in an account. They exist in memory only, so they never expire.
func (t *trust) user(account string) (token, seed string, err error) {
	public, seed, err := bus.NewKey()
	if err != nil {
		return "", "", err
	}
	u := jwt.NewUserClaims(public)
	u.Name = "coordinator"
	if token, err = u.Encode(t.keys[account]); err != nil {
		return "", "", fmt.Errorf("sign the coordinator: %w", err)
	}
	return token, seed, nil
}
