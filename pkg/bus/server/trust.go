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
	"github.com/probemesh/probemesh/pkg/wire"
)

// seeds are the secret keys that everything on the bus is trusted through.
type seeds struct {
	Operator string `json:"operator"`
	System   string `json:"system"` // account
	Mesh     string `json:"mesh"`   // account: the streams, and the coordinators
	Agents   string `json:"agents"` // account: no streams, only what it imports
	Scope    string `json:"scope"`  // the scoped signing key of the agents' account
	Enrol    string `json:"enrol"`  // account: those who want to join
}

// trust is the operator, the accounts and the keys to sign users with.
type trust struct {
	keys     map[string]nkeys.KeyPair
	public   map[string]string
	operator *jwt.OperatorClaims
	resolver *natsd.DirAccResolver
	sentinel string
	life     time.Duration // of an agent's credentials
}

// accountNames are the keys of the accounts.
var accountNames = []string{"system", "mesh", "agents", "enrol"}

const (
	enrolConnections = 64 // joining agents at once
	enrolPayload     = 2048
	// A batch, and its headers, of which an agent sends a hundred bytes.
	agentPayload = wire.BatchBytesMax + 4<<10
	// An agent has three: its words, everybody's, and its answers.
	agentSubscriptions = 8
	resolveEvery       = 5 * time.Second
)

// openTrust reads the keys from the directory, or makes them there.
func openTrust(dir string) (*trust, error) {
	s, err := openSeeds(filepath.Join(dir, "keys.json"))
	if err != nil {
		return nil, fmt.Errorf("the bus's keys: %w", err)
	}
	t := &trust{keys: map[string]nkeys.KeyPair{}, public: map[string]string{}}
	for name, seed := range map[string]string{
		"operator": s.Operator, "system": s.System, "mesh": s.Mesh, "agents": s.Agents, "scope": s.Scope, "enrol": s.Enrol,
	} {
		if t.keys[name], err = nkeys.FromSeed([]byte(seed)); err != nil {
			return nil, fmt.Errorf("the bus's key %s: %w", name, err)
		}
		if t.public[name], err = t.keys[name].PublicKey(); err != nil {
			return nil, fmt.Errorf("the bus's key %s: %w", name, err)
		}
	}
	t.resolver, err = natsd.NewDirAccResolver(filepath.Join(dir, "accounts"), 0, resolveEvery, natsd.NoDelete)
	if err != nil {
		return nil, fmt.Errorf("the bus's accounts: %w", err)
	}
	return t, t.sign()
}

func openSeeds(path string) (s seeds, err error) {
	data, err := readPrivate(path)
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
	return s, keep(path, data)
}

// sign makes the operator's word, the accounts' and the sentinel's.
func (t *trust) sign() error {
	t.operator = jwt.NewOperatorClaims(t.public["operator"])
	t.operator.Name, t.operator.SystemAccount = "probemesh", t.public["system"]
	signed, err := t.operator.Encode(t.keys["operator"])
	if err != nil {
		return fmt.Errorf("sign the operator: %w", err)
	}
	if t.operator, err = jwt.DecodeOperatorClaims(signed); err != nil {
		return fmt.Errorf("sign the operator: %w", err)
	}
	for name, account := range map[string]*jwt.AccountClaims{
		"system": t.account("system", "SYS"), "mesh": t.mesh(), "agents": t.agents(), "enrol": t.enrol(),
	} {
		if err := t.store(name, account); err != nil {
			return err
		}
	}
	return t.signSentinel()
}

// store puts an account where the server looks for it, unless it is there: revocations live in it.
func (t *trust) store(name string, account *jwt.AccountClaims) error {
	if _, err := t.resolver.LoadAcc(t.public[name]); err == nil {
		return nil
	}
	signed, err := account.Encode(t.keys["operator"])
	if err == nil {
		err = t.resolver.Store(t.public[name], signed)
	}
	if err != nil {
		return fmt.Errorf("sign the account %s: %w", name, err)
	}
	return nil
}

func (t *trust) account(key, name string) *jwt.AccountClaims {
	a := jwt.NewAccountClaims(t.public[key])
	a.Name = name
	return a
}

// mesh is the account of the streams. What others may reach of it is exported, and nothing else.
func (t *trust) mesh() *jwt.AccountClaims {
	a := t.account("mesh", "MESH")
	a.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1, MaxAckPending: -1}
	for _, subject := range []string{bus.SubjectObservations + "*", bus.SubjectAsk + "*", bus.SubjectEnrol} {
		a.Exports.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Service})
	}
	control := bus.SubjectControl + ">"
	a.Exports.Add(&jwt.Export{Name: control, Subject: jwt.Subject(control), Type: jwt.Stream})
	return a
}

// agents is the account of the agents. It has no JetStream: in one account with the streams an agent could name another's
// subject as its reply, and the server would write its acknowledgement there.
func (t *trust) agents() *jwt.AccountClaims {
	a := t.account("agents", "AGENTS")
	for _, subject := range []string{bus.SubjectObservations + "*", bus.SubjectAsk + "*"} {
		a.Imports.Add(t.service(subject))
	}
	control := bus.SubjectControl + ">"
	a.Imports.Add(&jwt.Import{Name: control, Subject: jwt.Subject(control), Account: t.public["mesh"], Type: jwt.Stream})
	scope := jwt.NewUserScope()
	scope.Key, scope.Role = t.public["scope"], "agent"
	scope.Template.Pub.Allow.Add(bus.SubjectObservations+"{{name()}}", bus.SubjectAsk+"{{name()}}")
	scope.Template.Sub.Allow.Add(bus.SubjectControlAll, bus.SubjectControl+"{{name()}}.>", "_INBOX_{{name()}}.>")
	scope.Template.Payload, scope.Template.Subs = agentPayload, agentSubscriptions
	scope.Template.AllowedConnectionTypes.Add(jwt.ConnectionTypeStandard)
	a.SigningKeys.AddScopedSigner(scope)
	return a
}

// enrol is the account of those who want to join.
func (t *trust) enrol() *jwt.AccountClaims {
	a := t.account("enrol", "ENROL")
	a.Imports.Add(t.service(bus.SubjectEnrol))
	a.Limits.Conn = enrolConnections
	return a
}

func (t *trust) service(subject string) *jwt.Import {
	return &jwt.Import{Name: subject, Subject: jwt.Subject(subject), Account: t.public["mesh"], Type: jwt.Service}
}

// signSentinel makes the user that every connection without credentials is: it may knock, and nothing else.
func (t *trust) signSentinel() error {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return fmt.Errorf("make the sentinel: %w", err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		return fmt.Errorf("make the sentinel: %w", err)
	}
	u := jwt.NewUserClaims(public)
	u.Name, u.BearerToken = "sentinel", true
	u.Pub.Allow.Add(bus.SubjectEnrol)
	u.Sub.Allow.Add("_INBOX.>") // answers are sealed, so that hearing another's tells nothing
	u.Limits.Payload, u.Limits.Subs = enrolPayload, 2
	if t.sentinel, err = u.Encode(t.keys["enrol"]); err != nil {
		return fmt.Errorf("sign the sentinel: %w", err)
	}
	return nil
}

// configure has the server trust what was signed.
func (t *trust) configure(opts *natsd.Options) {
	opts.TrustedOperators = []*jwt.OperatorClaims{t.operator}
	opts.SystemAccount = t.public["system"]
	opts.AccountResolver = t.resolver
	opts.DefaultSentinel = t.sentinel
}

// agent signs an agent's key into the scope, whose template its name fills in.
func (t *trust) agent(name, publicKey string) (string, error) {
	u := jwt.NewUserClaims(publicKey)
	u.Name, u.IssuerAccount = name, t.public["agents"]
	u.Expires = time.Now().Add(t.life).Unix()
	u.SetScoped(true)
	signed, err := u.Encode(t.keys["scope"])
	if err != nil {
		return "", fmt.Errorf("sign the agent %s: %w", name, err)
	}
	return signed, nil
}

// user makes a key for the coordinator in this process to act in an account with, anew each time. It lasts as long as a process
// does.
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
