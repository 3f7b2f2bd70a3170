// Package identity is the agent's half of joining: it makes the agent's key, proves a token to the coordinator that the token
// names, and keeps what it is given.
package identity

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/crypto/nacl/box"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/privatefile"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Identity is who an agent is on the bus, and how it gets there.
type Identity struct {
	Name    string   `json:"name"` // the host's key
	Servers []string `json:"servers"`
	JWT     string   `json:"jwt"`
	Seed    string   `json:"seed"`             // the secret key
	CA      []byte   `json:"ca"`               // PEM
	Gossip  [][]byte `json:"gossip,omitempty"` // keys, the one to speak with first; none: this agent does not gossip
	// The way that was gone before Servers and CA were told, until those are gone: the coordinator that names a way does not
	// know whether it leads anywhere from here.
	Former *bus.Way `json:"former,omitempty"`
}

// Way is how the identity's bus is reached.
func (id Identity) Way() bus.Way { return bus.Way{Servers: id.Servers, CA: id.CA} }

// FormerWay is tried too; it is empty where there is none.
func (id Identity) FormerWay() (w bus.Way) {
	if id.Former != nil {
		w = *id.Former
	}
	return w
}

const (
	identityFile = "identity.json"
	keyFile      = "key.json" // a key that a join began with, so that a second try brings the same one
	joinWait     = 20 * time.Second
)

// ErrNotJoined says that the state directory holds no identity.
var ErrNotJoined = errors.New("this agent has not joined yet: on the coordinator run `coordinator invite HOST`, then here `agent join TOKEN`")

// Load reads the identity that Join kept. It refuses files that others can read.
func Load(dir string) (id Identity, err error) {
	path := filepath.Join(dir, identityFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return id, fmt.Errorf("%s: %w", dir, ErrNotJoined)
	}
	if err != nil {
		return id, fmt.Errorf("load the identity: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return id, fmt.Errorf("%s holds a secret key and others can read it: chmod 600 %s", path, path)
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &id)
	}
	if err != nil {
		return id, fmt.Errorf("load the identity: %w", err)
	}
	return id, nil
}

// Join proves the token and keeps the identity in the state directory, which it makes. A nil dial is the kernel's.
func Join(ctx context.Context, token, dir string, dial bus.DialFunc) (id Identity, err error) {
	t, err := wire.ParseToken(token)
	if err != nil {
		return id, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return id, fmt.Errorf("make the state directory: %w", err)
	}
	key, err := openKey(dir, t)
	if err != nil {
		return id, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	grant, err := knock(ctx, t, key, dial)
	if err != nil {
		return id, err
	}
	id = Identity{Name: t.Host, Servers: grant.Servers, JWT: grant.JWT, Seed: key.Seed, CA: []byte(grant.CA), Gossip: grant.Gossip}
	if err := keep(filepath.Join(dir, identityFile), id); err != nil {
		return id, err
	}
	return id, os.Remove(filepath.Join(dir, keyFile))
}

// key is the agent's own, made for one token.
type key struct {
	Token  []byte `json:"token"`
	Public string `json:"public"`
	Seed   string `json:"seed"`
}

// openKey reads the key of an earlier try with this token, or makes one.
func openKey(dir string, t wire.Token) (k key, err error) {
	path := filepath.Join(dir, keyFile)
	if data, err := os.ReadFile(path); err == nil && json.Unmarshal(data, &k) == nil && string(k.Token) == string(t.Secret) {
		return k, nil
	}
	k = key{Token: t.Secret}
	if k.Public, k.Seed, err = bus.NewKey(); err != nil {
		return k, err
	}
	return k, keep(path, k)
}

// keep writes a file that nobody else may read, whole or not at all.
func keep(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := privatefile.Write(path, data); err != nil {
		return fmt.Errorf("write the identity: %w", err)
	}
	return nil
}

// knock sends the request and opens the answer.
func knock(ctx context.Context, t wire.Token, k key, dial bus.DialFunc) (grant wire.JoinGrant, err error) {
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return grant, err
	}
	request, err := json.Marshal(wire.JoinRequest{V: wire.Version, Host: t.Host, Secret: t.Secret, PublicKey: k.Public, Seal: public[:]})
	if err != nil {
		return grant, err
	}
	reply, err := bus.RequestEnrolment(ctx, t.Servers, [32]byte(t.Pin), dial, request)
	if errors.Is(err, bus.ErrPin) {
		return grant, fmt.Errorf("the token is foreign: %w", err)
	}
	if err != nil {
		return grant, err
	}
	var answer wire.JoinAnswer
	if err := wire.DecodeJoin(reply, &answer); err != nil {
		return grant, err
	}
	if answer.Refuse != "" {
		return grant, errors.New(answer.Refuse)
	}
	plain, ok := box.OpenAnonymous(nil, answer.Sealed, public, private)
	if !ok {
		return grant, errors.New("the coordinator's answer was not sealed for this request")
	}
	if err := wire.DecodeJoin(plain, &grant); err != nil {
		return grant, err
	}
	return grant, grant.Check()
}
