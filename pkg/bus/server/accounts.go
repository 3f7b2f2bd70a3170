package server

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	natsd "github.com/nats-io/nats-server/v2/server"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/privatefile"
	"github.com/probemesh/probemesh/pkg/wire"
)

// accountNames are the keys of the accounts.
var accountNames = []string{"system", "mesh", "agents", "enrol"}

const (
	// Those who knock at once: more than one client can open between two looks of the bouncer, which leaves each client a few.
	enrolConnections = 1024
	// The largest batch that an agent of this version or of N-1 sends, and its headers, which are some hundred bytes.
	agentPayload = wire.BatchFormerMax + 1<<10
	// An agent has three: its words, everybody's, and its answers.
	agentSubscriptions = 8
	resolveEvery       = 5 * time.Second
)

// today is what this program lets an account do.
func (t *trust) today(name string) *jwt.AccountClaims {
	switch name {
	case "mesh":
		return t.mesh()
	case "agents":
		return t.agents()
	case "enrol":
		return t.enrol()
	default:
		return t.account("system", "SYS")
	}
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
	knock := t.service(bus.SubjectEnrol)
	knock.Share = true // the coordinator is told from where, so that one client does not keep others from joining
	a.Imports.Add(knock)
	a.Limits.Conn = enrolConnections
	return a
}

func (t *trust) service(subject string) *jwt.Import {
	return &jwt.Import{Name: subject, Subject: jwt.Subject(subject), Account: t.public["mesh"], Type: jwt.Service}
}

// signAccounts makes the accounts that are not on the disk yet. Those that are stay as they are: a node of a cluster would take one
// that was signed anew for newer than its own, and forget what was revoked there.
func (t *trust) signAccounts() error {
	for _, name := range accountNames {
		_, err := t.kept(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = t.keepAccount(name, t.today(name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// renewAccounts has the accounts on the disk say what this program lets them do, where another version left them saying
// something else. It comes before the server, which holds them from its start on.
func (t *trust) renewAccounts() error {
	for _, name := range accountNames {
		kept, err := t.kept(name)
		if err != nil {
			return err
		}
		today, changed, err := t.renewed(name, kept)
		if err == nil && changed {
			err = t.keepAccount(name, today)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// combined is a cluster's account as this program has it, with what was revoked there or here; nil: the cluster's is that already.
func (t *trust) combined(name string, has *jwt.AccountClaims) (*jwt.AccountClaims, error) {
	kept, err := t.kept(name)
	if err != nil {
		return nil, err
	}
	before := len(has.Revocations)
	for key, at := range kept.Revocations {
		has.RevokeAt(key, time.Unix(at, 0))
	}
	today, changed, err := t.renewed(name, has)
	if err != nil || !changed && len(has.Revocations) == before {
		return nil, err
	}
	return today, nil
}

// renewed is an account as this program has it, with what was revoked in the one that is kept, and whether that is another.
func (t *trust) renewed(name string, kept *jwt.AccountClaims) (today *jwt.AccountClaims, changed bool, err error) {
	today = t.today(name)
	for key, at := range kept.Revocations {
		today.RevokeAt(key, time.Unix(at, 0))
	}
	// Both are compared as they are read: what is left out of the text and what is empty are the same.
	signed, err := t.signAccount(name, today)
	if err != nil {
		return nil, false, err
	}
	read, err := jwt.DecodeAccountClaims(signed)
	if err != nil {
		return nil, false, fmt.Errorf("sign the account %s: %w", name, err)
	}
	return today, read.Name != kept.Name || !reflect.DeepEqual(read.Account, kept.Account), nil
}

func (t *trust) signAccount(name string, account *jwt.AccountClaims) (string, error) {
	signed, err := account.Encode(t.keys["operator"])
	if err != nil {
		return "", fmt.Errorf("sign the account %s: %w", name, err)
	}
	return signed, nil
}

// signAccountAfter signs an account so that servers take it for newer than one that was signed in a second, also
// where the wall clock was stepped back since then. The library knows no other time of signing than the present.
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

// place is the file of an account, as the server names it.
func (t *trust) place(name string) string { return filepath.Join(t.accounts, t.public[name]+".jwt") }

// kept reads an account from the disk. One that is damaged is not made anew by itself: who was revoked would be let in until the
// ledger was asked.
func (t *trust) kept(name string) (*jwt.AccountClaims, error) {
	signed, err := os.ReadFile(t.place(name))
	if err != nil {
		return nil, fmt.Errorf("the account %s: %w", name, err)
	}
	account, err := jwt.DecodeAccountClaims(string(signed))
	if err != nil {
		return nil, fmt.Errorf("the account %s in %s is damaged: %w; move that file away, and the next start makes the account anew and "+
			"revokes again what the ledger says was revoked", name, t.place(name), err)
	}
	return account, nil
}

// keepAccount signs an account and puts it where the server looks for it, whole or not at all.
func (t *trust) keepAccount(name string, account *jwt.AccountClaims) error {
	signed, err := t.signAccount(name, account)
	if err != nil {
		return err
	}
	if err := privatefile.Write(t.place(name), []byte(signed)); err != nil {
		return fmt.Errorf("keep the account %s: %w", name, err)
	}
	return nil
}

// openResolver has the server find the accounts, and keep there what is revoked.
func (t *trust) openResolver() (err error) {
	if t.resolver, err = natsd.NewDirAccResolver(t.accounts, 0, resolveEvery, natsd.NoDelete); err != nil {
		return fmt.Errorf("the bus's accounts: %w", err)
	}
	return nil
}
