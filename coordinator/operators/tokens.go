package operators

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// Scope is what a token permits.
type Scope string

// The scopes. A token that may write may read as well.
const (
	Read  Scope = "read"
	Write Scope = "write"
)

// Permits reports whether the scope includes the other.
func (s Scope) Permits(other Scope) bool { return s == other || s == Write }

// Token is what is known of a token. The token itself is not.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Scope   Scope     `json:"scope"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"` // the latest hour in which it was used
	Revoked time.Time `json:"revoked,omitzero"`
}

// record is a token as PEOPLE has it.
type record struct {
	Version int    `json:"v"`
	Kind    string `json:"kind"`
	Token
	Hash []byte `json:"hash,omitempty"` // SHA-256; none once it is revoked
}

// entry is a token in memory.
type entry struct {
	Token
	hash    []byte
	records []string // the ids of its records: one, or more where a replacement was interrupted
	unsaved bool     // the record lacks the latest use
}

// People stores records about people.
type People interface {
	Put(ctx context.Context, id string, data []byte) error
	Each(ctx context.Context, fn func(id string, data []byte) error) error
	Erase(ctx context.Context, id string) (replicated bool, err error)
}

// Config configures Tokens.
type Config struct {
	People People
	Ledger Ledger
	Audit  Audit
	Clock  func() (at time.Time, offset time.Duration) // mesh time, and mesh time less the wall clock
	Logger zerolog.Logger
}

const (
	kind       = "token"
	prefix     = "pmt_" // by which people and scanners recognize a token that leaked
	usedTo     = time.Hour
	saveEvery  = time.Minute
	endMax     = time.Second
	tokensMax  = 100  // valid ones
	revokedMax = 1000 // revoked ones whose names the audit log still shows
	// The requests of one token: a deployment that announces itself sends a few, an import some hundreds.
	perSecond = 10
	burst     = 100
)

// Tokens are the tokens of a mesh. It is safe for concurrent use.
type Tokens struct {
	config Config

	changing sync.Mutex // one change of the stored records at a time
	mu       sync.Mutex
	tokens   map[string]*entry
	rates    *ratelimit.Rates[string]
}

// Open reads the tokens.
func Open(ctx context.Context, c Config) (*Tokens, error) {
	t := &Tokens{
		config: c, tokens: map[string]*entry{}, rates: ratelimit.NewRates[string](perSecond, burst, tokensMax),
	}
	return t, c.People.Each(ctx, func(id string, data []byte) error {
		var r record
		if json.Unmarshal(data, &r) != nil || r.Kind != kind {
			return nil // a record of another kind
		}
		t.load(id, r)
		return nil
	})
}

// load adds a record. Later records replace earlier ones, and nothing makes a revoked token valid again.
func (t *Tokens) load(id string, r record) {
	e := t.tokens[r.ID]
	if e == nil {
		e = &entry{}
		t.tokens[r.ID] = e
	}
	if e.records = append(e.records, id); e.Revoked.IsZero() {
		e.Token, e.hash = r.Token, r.Hash
	}
}

func refuse(kind errkind.Kind, format string, args ...any) error {
	return errkind.New(kind, fmt.Sprintf(format, args...))
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$`)

// Add makes a token and returns it. It cannot be shown again.
func (t *Tokens) Add(ctx context.Context, name string, scope Scope) (token string, err error) {
	switch {
	case !validName.MatchString(name):
		return "", refuse(errkind.Invalid, "token name %q: write 1 to 63 of A-Z, a-z, 0-9, ., _, @ and -", name)
	case scope != Read && scope != Write:
		return "", refuse(errkind.Invalid, "scope %q: write read or write", scope)
	}
	t.changing.Lock()
	defer t.changing.Unlock()
	valid := 0
	for _, other := range t.List() {
		switch {
		case !other.Revoked.IsZero():
			continue
		case other.Name == name:
			return "", refuse(errkind.Conflict, "there is a token %q already: revoke it, or choose another name", name)
		}
		valid++
	}
	if valid >= tokensMax {
		return "", refuse(errkind.Conflict, "there are %d tokens: revoke one first", valid)
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	token = prefix + base64.RawURLEncoding.EncodeToString(secret)
	hash := sha256.Sum256([]byte(token))
	e := &entry{Token: Token{ID: newID(), Name: name, Scope: scope, Created: t.now()}, hash: hash[:]}
	if err := t.save(ctx, e); err != nil {
		return "", err
	}
	if err := t.Record(ctx, "token.add", e.ID); err != nil {
		_, erased := t.config.People.Erase(ctx, e.records[0])
		return "", errors.Join(err, erased)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens[e.ID] = e
	return token, nil
}

// List returns all tokens, the newest first, revoked ones last.
func (t *Tokens) List() []Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Token, 0, len(t.tokens))
	for _, e := range t.tokens {
		out = append(out, e.Token)
	}
	slices.SortFunc(out, func(a, b Token) int {
		return cmp.Or(a.Revoked.Compare(b.Revoked), b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Revoke ends a token, which its name or its id names. From then on it permits nothing, even where storing that fails.
func (t *Tokens) Revoke(ctx context.Context, nameOrID string) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	e, now := t.find(nameOrID), t.now()
	if e == nil {
		return refuse(errkind.NotFound, "no token %q: `coordinator token list` lists them", nameOrID)
	}
	t.mu.Lock()
	again := !e.Revoked.IsZero() && !e.unsaved
	if e.Revoked.IsZero() {
		e.Revoked, e.unsaved, e.hash = now, true, nil
	}
	t.mu.Unlock()
	if again {
		return refuse(errkind.Conflict, "token %q was revoked at %s", e.Name, e.Revoked.Format(time.RFC3339))
	}
	if err := errors.Join(t.save(ctx, e), t.Record(ctx, "token.revoke", e.ID)); err != nil {
		return fmt.Errorf("token %q permits nothing any more, but a restart would forget that: repeat it: %w", e.Name, err)
	}
	return t.forget(ctx)
}

// find returns the valid token with the name, else the one with the id, else nil.
func (t *Tokens) find(nameOrID string) *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.tokens {
		if e.Name == nameOrID && e.Revoked.IsZero() {
			return e
		}
	}
	return t.tokens[nameOrID]
}

// forget erases the tokens that were revoked first, if there are too many.
func (t *Tokens) forget(ctx context.Context) error {
	all := t.List()
	revoked := all[slices.IndexFunc(all, func(k Token) bool { return !k.Revoked.IsZero() }):]
	for len(revoked) > revokedMax {
		if err := t.erase(ctx, t.tokens[revoked[0].ID].records); err != nil {
			return err
		}
		t.mu.Lock()
		delete(t.tokens, revoked[0].ID)
		t.mu.Unlock()
		revoked = revoked[1:]
	}
	return nil
}

// ErrTooManyRequests means that a token is used too often.
var ErrTooManyRequests = errkind.New(errkind.Unavailable,
	fmt.Sprintf("too many requests: a token permits %d a second", perSecond))

// Authenticate returns what a token permits. It takes the same time however much of the token is right.
func (t *Tokens) Authenticate(token string) (Token, bool, error) {
	hash, now := sha256.Sum256([]byte(token)), time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	var found *entry
	for _, e := range t.tokens {
		if subtle.ConstantTimeCompare(e.hash, hash[:]) == 1 {
			found = e
		}
	}
	if found == nil {
		return Token{}, false, nil
	}
	if !t.rates.Allow(now, found.ID) {
		return Token{}, true, ErrTooManyRequests
	}
	if hour := t.now().Truncate(usedTo); hour.After(found.Used) {
		found.Used, found.unsaved = hour, true
	}
	return found.Token, true, nil
}

// Run saves when tokens were used, each at most once an hour, and revocations that could not be stored, until ctx
// ends; it returns nil then.
func (t *Tokens) Run(ctx context.Context) error {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endMax)
			defer cancel()
			t.saveUses(ctx)
			return nil
		case <-ticker.C:
			t.saveUses(ctx)
		}
	}
}

func (t *Tokens) saveUses(ctx context.Context) {
	t.changing.Lock()
	defer t.changing.Unlock()
	for _, k := range t.List() {
		t.mu.Lock()
		e := t.tokens[k.ID]
		unsaved := e.unsaved
		t.mu.Unlock()
		if !unsaved {
			continue
		}
		if err := t.save(ctx, e); err != nil {
			t.config.Logger.Warn().Err(err).Str("token", k.Name).Msg("token not stored; retrying")
			return
		}
	}
}

// save stores a new record of the token, and erases those before it.
func (t *Tokens) save(ctx context.Context, e *entry) error {
	t.mu.Lock()
	r, before := record{Version: 1, Kind: kind, Token: e.Token, Hash: e.hash}, e.records
	t.mu.Unlock()
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	id := newID()
	if err := t.config.People.Put(ctx, id, data); err != nil {
		return err
	}
	t.mu.Lock()
	e.records, e.unsaved = append(slices.Clone(before), id), e.Used.After(r.Used)
	t.mu.Unlock()
	if err := t.erase(ctx, before); err != nil {
		return err
	}
	t.mu.Lock()
	e.records = []string{id}
	t.mu.Unlock()
	return nil
}

func (t *Tokens) erase(ctx context.Context, records []string) (err error) {
	for _, id := range records {
		_, failed := t.config.People.Erase(ctx, id)
		err = errors.Join(err, failed)
	}
	return err
}

// Record adds to the audit log what the context's actor did, or a command of this machine.
func (t *Tokens) Record(ctx context.Context, action, id string) error {
	actor, known := ActorOf(ctx)
	if !known {
		actor.ID = Shell
	}
	e := ledger.AuditEvent{Event: newID(), Actor: actor.ID, Action: action, Object: id}
	e.Mesh, e.Offset = t.config.Clock()
	e.Mesh = e.Mesh.UTC()
	return t.config.Ledger.Append(ctx, e)
}

// now returns the wall time as the mesh knows it.
func (t *Tokens) now() time.Time {
	at, offset := t.config.Clock()
	return at.Add(-offset).UTC().Truncate(time.Second)
}

func newID() string { return strings.ToLower(rand.Text()) }
