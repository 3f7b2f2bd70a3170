package server

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	natsd "github.com/nats-io/nats-server/v2/server"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/privatefile"
	"github.com/probemesh/probemesh/pkg/regularfile"
	"github.com/probemesh/probemesh/pkg/wire"
)

// accountNames are the names of the accounts' keys.
var accountNames = []string{"system", "mesh", "agents", "enrol"}

const (
	// Connections without credentials at once. The policer leaves each client a few of them; one client cannot open as
	// many between two turns of the policer.
	enrolConnections = 1024
	// The largest batch of an agent of this version or the one before, and its headers of a few hundred bytes.
	agentPayload = wire.BatchFormerMax + 1<<10
	// An agent needs three: its control messages, those to all agents, and its inbox.
	agentSubscriptions = 8
	resolveEvery       = 5 * time.Second
)

// template returns an account with the limits and permissions that this version gives it.
func (t *trust) template(name string) *jwt.AccountClaims {
	switch name {
	case "mesh":
		return t.meshAccount()
	case "agents":
		return t.agentsAccount()
	case "enrol":
		return t.enrolAccount()
	default:
		return t.newAccount("system", "SYS")
	}
}

func (t *trust) newAccount(key, name string) *jwt.AccountClaims {
	a := jwt.NewAccountClaims(t.public[key])
	a.Name = name
	return a
}

// meshAccount is the account of the streams and of the coordinators. Other accounts reach only what it exports.
func (t *trust) meshAccount() *jwt.AccountClaims {
	a := t.newAccount("mesh", "MESH")
	a.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1, MaxAckPending: -1,
	}
	for _, subject := range []string{bus.SubjectObservations + "*", bus.SubjectAsk + "*", bus.SubjectEnrol} {
		a.Exports.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Service})
	}
	control := bus.SubjectControl + ">"
	a.Exports.Add(&jwt.Export{Name: control, Subject: jwt.Subject(control), Type: jwt.Stream})
	return a
}

// agentsAccount is the account of the agents. It has no JetStream: in one account with the streams an agent could name
// another's subject as its reply subject, and the server would write its acknowledgement there.
func (t *trust) agentsAccount() *jwt.AccountClaims {
	a := t.newAccount("agents", "AGENTS")
	for _, subject := range []string{bus.SubjectObservations + "*", bus.SubjectAsk + "*"} {
		a.Imports.Add(t.importService(subject))
	}
	control := bus.SubjectControl + ">"
	a.Imports.Add(&jwt.Import{Name: control, Subject: jwt.Subject(control), Account: t.public["mesh"], Type: jwt.Stream})
	scope := jwt.NewUserScope()
	scope.Key, scope.Role = t.public["scope"], "agent"
	scope.Template.Pub.Allow.Add(bus.SubjectObservations+"{{name()}}", bus.SubjectAsk+"{{name()}}")
	scope.Template.Sub.Allow.Add(bus.SubjectControlAll, bus.SubjectControl+"{{name()}}.>", "_INBOX_{{name()}}.>")
	scope.Template.Payload, scope.Template.Subs = agentPayload, agentSubscriptions
	// A cluster's server accepts agents itself; to the server in this process the proxy forwards them.
	scope.Template.AllowedConnectionTypes.Add(jwt.ConnectionTypeStandard, jwt.ConnectionTypeInProcess)
	a.SigningKeys.AddScopedSigner(scope)
	return a
}

// enrolAccount is the account of connections without credentials, which may send join requests.
func (t *trust) enrolAccount() *jwt.AccountClaims {
	a := t.newAccount("enrol", "ENROL")
	requests := t.importService(bus.SubjectEnrol)
	requests.Share = true // tells the coordinator the client's address, so that it can limit each client
	a.Imports.Add(requests)
	a.Limits.Conn = enrolConnections
	return a
}

func (t *trust) importService(subject string) *jwt.Import {
	return &jwt.Import{Name: subject, Subject: jwt.Subject(subject), Account: t.public["mesh"], Type: jwt.Service}
}

// createAccounts signs and writes the accounts that are missing. It leaves the others as they are: a node of a cluster
// would prefer one that is signed again to its own, and lose its revocations.
func (t *trust) createAccounts() error {
	for _, name := range accountNames {
		_, err := t.readAccount(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = t.writeAccount(name, t.template(name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// upgradeAccounts gives the accounts on the disk the limits and permissions of this version. It must run before the
// server starts, which reads them then.
func (t *trust) upgradeAccounts() error {
	for _, name := range accountNames {
		stored, err := t.readAccount(name)
		if err != nil {
			return err
		}
		upgraded, changed, err := t.upgrade(name, stored)
		if err == nil && changed {
			err = t.writeAccount(name, upgraded)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// upgradeClusterAccount returns a cluster's account as this version has it, with the revocations of both the cluster
// and the disk; nil if the cluster's is that already.
func (t *trust) upgradeClusterAccount(name string, current *jwt.AccountClaims) (*jwt.AccountClaims, error) {
	stored, err := t.readAccount(name)
	if err != nil {
		return nil, err
	}
	before := len(current.Revocations)
	for key, at := range stored.Revocations {
		current.RevokeAt(key, time.Unix(at, 0))
	}
	upgraded, changed, err := t.upgrade(name, current)
	if err != nil || !changed && len(current.Revocations) == before {
		return nil, err
	}
	return upgraded, nil
}

// upgrade returns an account as this version has it, with the revocations of the present one, and whether it differs
// from that.
func (t *trust) upgrade(name string, current *jwt.AccountClaims) (next *jwt.AccountClaims, changed bool, err error) {
	next = t.template(name)
	for key, at := range current.Revocations {
		next.RevokeAt(key, time.Unix(at, 0))
	}
	// The two are compared as decoded: an empty field and one that is absent from the text are equal then.
	signed, err := t.signAccount(name, next)
	if err != nil {
		return nil, false, err
	}
	decoded, err := jwt.DecodeAccountClaims(signed)
	if err != nil {
		return nil, false, fmt.Errorf("sign the account %s: %w", name, err)
	}
	return next, decoded.Name != current.Name || !reflect.DeepEqual(decoded.Account, current.Account), nil
}

func (t *trust) signAccount(name string, account *jwt.AccountClaims) (string, error) {
	signed, err := account.Encode(t.keys["operator"])
	if err != nil {
		return "", fmt.Errorf("sign the account %s: %w", name, err)
	}
	return signed, nil
}

// signAccountAfter signs an account so that servers prefer it to one that was signed in the given second, even if the
// wall clock was stepped back since. The library can only sign as of now, so the claims are encoded here in that case.
func (t *trust) signAccountAfter(name string, account *jwt.AccountClaims, since int64) (string, error) {
	signed, err := t.signAccount(name, account)
	if err != nil || account.IssuedAt > since {
		return signed, err
	}
	account.IssuedAt, account.ID = since+1, rand.Text()
	claims, err := json.Marshal(account)
	if err != nil {
		return "", fmt.Errorf("sign the account %s: %w", name, err)
	}
	header, _, _ := strings.Cut(signed, ".")
	text := header + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := t.keys["operator"].Sign([]byte(text))
	if err != nil {
		return "", fmt.Errorf("sign the account %s: %w", name, err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// accountFile returns the path of an account. The server's resolver requires this name.
func (t *trust) accountFile(name string) string {
	return filepath.Join(t.accounts, t.public[name]+".jwt")
}

// accountMax bounds what is read as an account. It lists every revoked key, 80 bytes each.
const accountMax = 64 << 20

// readAccount reads an account from the disk. A damaged one is an error and is not replaced: until the ledger is read,
// the new one would admit agents that were revoked.
func (t *trust) readAccount(name string) (*jwt.AccountClaims, error) {
	signed, _, err := regularfile.Read(t.accountFile(name), accountMax)
	if err != nil {
		return nil, fmt.Errorf("read the account %s: %w", name, err)
	}
	account, err := jwt.DecodeAccountClaims(string(signed))
	if err != nil {
		return nil, fmt.Errorf("the account %s in %s is damaged: %w; move that file away, and the next start creates it "+
			"again and revokes what the ledger has as revoked", name, t.accountFile(name), err)
	}
	return account, nil
}

// writeAccount signs an account and writes it where the server looks for it.
func (t *trust) writeAccount(name string, account *jwt.AccountClaims) error {
	signed, err := t.signAccount(name, account)
	if err != nil {
		return err
	}
	if err := privatefile.Write(t.accountFile(name), []byte(signed)); err != nil {
		return fmt.Errorf("write the account %s: %w", name, err)
	}
	return nil
}

// openResolver opens the directory in which the server finds the accounts and stores revocations.
func (t *trust) openResolver() (err error) {
	if t.resolver, err = natsd.NewDirAccResolver(t.accounts, 0, resolveEvery, natsd.NoDelete); err != nil {
		return fmt.Errorf("open the NATS accounts: %w", err)
	}
	return nil
}
