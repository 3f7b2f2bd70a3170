// Package identity is who an agent is: Join makes its key and exchanges a token for credentials, Load reads what Join
// stored, and a Renewer renews the credentials while the agent runs.
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
	"time"

	"golang.org/x/crypto/nacl/box"

	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/privatefile"
	"github.com/probemesh/probemesh/pkg/regularfile"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Identity is an agent's name, credentials and coordinators. It is stored as JSON, in a format that later versions
// still read.
type Identity struct {
	Name    string   `json:"name"` // the host's key; after the host was renamed the former one, until it is renewed
	Servers []string `json:"servers"`
	JWT     string   `json:"jwt"`
	Seed    string   `json:"seed"`             // the private key
	CA      []byte   `json:"ca"`               // PEM
	Gossip  [][]byte `json:"gossip,omitempty"` // keys, the one to encrypt with first; none: this agent does not gossip
	// Former is how the bus was reached before Servers and CA were renewed. It is tried too until the agent has
	// connected by those: a coordinator that changes its address cannot know whether the new one can be reached from
	// here.
	Former *bus.Endpoint `json:"former,omitempty"`
}

// Endpoint returns how to reach the bus.
func (id Identity) Endpoint() bus.Endpoint { return bus.Endpoint{Servers: id.Servers, CA: id.CA} }

// FormerEndpoint returns how the bus was reached before; it is empty where there is nothing to try.
func (id Identity) FormerEndpoint() (w bus.Endpoint) {
	if id.Former != nil {
		w = *id.Former
	}
	return w
}

const (
	identityFile = "identity.json"
	keyFile      = "key.json" // the key of a join that was begun
	joinTimeout  = 20 * time.Second
)

// ErrNotJoined is returned by Load where the state directory holds no identity.
var ErrNotJoined = errors.New(
	"this agent has not joined yet: on the coordinator run `coordinator invite HOST`, then here `agent join TOKEN`")

// Load reads the identity that Join stored. It refuses a file that others can read, because it holds a private key.
func Load(dir string) (id Identity, err error) {
	path := filepath.Join(dir, identityFile)
	data, err := privatefile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return id, fmt.Errorf("%s: %w", dir, ErrNotJoined)
	}
	if err == nil {
		err = json.Unmarshal(data, &id)
	}
	if err != nil {
		return id, fmt.Errorf("load the identity: %w", err)
	}
	return id, nil
}

// Join exchanges the token for credentials, and stores the identity in the state directory, which it makes. A nil
// dial is the kernel's. A join that failed half-way may be tried again with the same token.
func Join(ctx context.Context, token, dir string, dial bus.DialFunc) (id Identity, err error) {
	t, err := wire.ParseToken(token)
	if err != nil {
		return id, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return id, fmt.Errorf("make the state directory: %w", err)
	}
	k, err := openKey(dir, t)
	if err != nil {
		return id, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	grant, err := requestGrant(ctx, t, k, dial)
	if err != nil {
		return id, err
	}
	id = Identity{
		Name: t.Host, Servers: grant.Servers, JWT: grant.JWT, Seed: k.Seed, CA: []byte(grant.CA), Gossip: grant.Gossip,
	}
	if err := store(filepath.Join(dir, identityFile), id); err != nil {
		return id, err
	}
	return id, os.Remove(filepath.Join(dir, keyFile))
}

// key is the agent's key pair, made for one token.
type key struct {
	Token  []byte `json:"token"`
	Public string `json:"public"`
	Seed   string `json:"seed"`
}

// keyMax bounds what is read as the key of an earlier join, which has a few hundred bytes.
const keyMax = 64 << 10

// openKey returns the key of an earlier join with this token, or makes and stores one. The coordinator accepts a
// token again only with the key that used it, so a join whose answer was lost has to present the same key.
func openKey(dir string, t wire.Token) (k key, err error) {
	path := filepath.Join(dir, keyFile)
	data, _, err := regularfile.Read(path, keyMax)
	if err == nil && json.Unmarshal(data, &k) == nil && string(k.Token) == string(t.Secret) {
		return k, nil
	}
	k = key{Token: t.Secret}
	if k.Public, k.Seed, err = bus.NewKey(); err != nil {
		return k, err
	}
	return k, store(path, k)
}

func store(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := privatefile.Write(path, data); err != nil {
		return fmt.Errorf("store the identity: %w", err)
	}
	return nil
}

// requestGrant sends the token to the coordinator and returns the credentials. They come sealed to a key made for this
// request, so that no other client of the bus's join account can read them.
func requestGrant(ctx context.Context, t wire.Token, k key, dial bus.DialFunc) (grant wire.JoinGrant, err error) {
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return grant, err
	}
	request, err := json.Marshal(wire.JoinRequest{
		V: wire.Version, Host: t.Host, Secret: t.Secret, PublicKey: k.Public, Seal: public[:],
	})
	if err != nil {
		return grant, err
	}
	reply, err := busagent.RequestEnrolment(ctx, t.Servers, [32]byte(t.Pin), dial, request)
	if errors.Is(err, bus.ErrPin) {
		return grant, fmt.Errorf("the token is of another mesh: %w", err)
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
