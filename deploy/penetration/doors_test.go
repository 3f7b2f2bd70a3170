package penetration_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	agentenrol "github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/pkg/bus"
	busagent "github.com/probemesh/probemesh/pkg/bus/agent"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/wire"
)

// doors tries to come in by TLS and by credentials that are not right.
func (w *world) doors() {
	w.try("stranger", "no TLS", func() error {
		r, err := knock(w.address(), nil)
		must(w.t, err)
		defer r.Close()
		return r.enter(connect{})
	})
	for version, name := range map[uint16]string{tls.VersionTLS10: "1.0", tls.VersionTLS11: "1.1", tls.VersionTLS12: "1.2"} {
		w.try("stranger", "TLS "+name, func() error {
			config := w.tls()
			config.MinVersion, config.MaxVersion = version, version
			r, err := knock(w.address(), config)
			if err == nil {
				r.Close()
			}
			return err
		})
	}
	w.falseServer()
	for what, c := range w.credentials() {
		w.try("stranger", what, func() error {
			r, err := knock(w.address(), w.tls())
			must(w.t, err)
			defer r.Close()
			if err := r.enter(c(r)); err != nil {
				return err
			}
			// It is let in, as everybody is: to knock, and nothing else.
			return r.say(pub(bus.SubjectObservations+own, "", "{}"))
		})
	}
	w.tooMany()
}

// falseServer has an agent meet a server that is not its coordinator.
func (w *world) falseServer() {
	false, err := server.Start(w.t.Context(), server.Config{Dir: w.t.TempDir(), Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	must(w.t, err)
	defer false.Close()
	address := strings.TrimPrefix(false.Servers()[0], "tls://")
	w.try("server", "a certificate of another CA, shown to an agent", func() error {
		_, err := knock(address, w.tls())
		return err
	})
	pin, err := bus.Pin(w.server.CA())
	must(w.t, err)
	w.try("server", "a certificate of another CA, shown to one who joins", func() error {
		_, err := busagent.RequestEnrolment(w.t.Context(), false.Servers(), pin, nil, []byte("{}"))
		return err
	})
}

// credentials are introductions by which nobody may come in as an agent.
func (w *world) credentials() map[string]func(*raw) connect {
	mine, his := w.ids[own], w.ids[other]
	account, err := nkeys.CreateAccount()
	must(w.t, err)
	public, err := bus.PublicKey(mine.seed)
	must(w.t, err)
	agents, err := w.seed("agents").PublicKey()
	must(w.t, err)
	mesh, err := w.seed("mesh").PublicKey()
	must(w.t, err)
	user, err := nkeys.FromSeed([]byte(mine.seed))
	must(w.t, err)
	claims := func(issuer string, change func(*jwt.UserClaims)) *jwt.UserClaims {
		c := jwt.NewUserClaims(public)
		c.Name, c.IssuerAccount = own, issuer
		if change != nil {
			change(c)
		}
		return c
	}
	everything := func(c *jwt.UserClaims) { c.Pub.Allow.Add(">"); c.Sub.Allow.Add(">") }
	scoped := func(c *jwt.UserClaims) { c.SetScoped(true) }
	signed := func(token string) func(*raw) connect {
		return func(r *raw) connect { return connect{JWT: token, Signature: r.sign(mine.seed)} }
	}
	return map[string]func(*raw) connect{
		"a password":                         func(*raw) connect { return connect{User: "coordinator", Password: "coordinator"} },
		"a token":                            func(*raw) connect { return connect{Token: "coordinator"} },
		"an agent's JWT without a signature": func(*raw) connect { return connect{JWT: mine.token} },
		"an agent's JWT, signed with another's key": func(r *raw) connect { return connect{JWT: his.token, Signature: r.sign(mine.seed)} },
		"an agent's JWT, a signature of yesterday": func(r *raw) connect {
			r.nonce = "yesterday"
			return connect{JWT: mine.token, Signature: r.sign(mine.seed)}
		},
		"an agent's public key without a JWT":                        func(r *raw) connect { return connect{NKey: public, Signature: r.sign(mine.seed)} },
		"a JWT of an account of its own":                             signed(sign(claims("", everything), account)),
		"a JWT of an account of its own that says it is the agents'": signed(sign(claims(agents, everything), account)),
		"a JWT signed by the agent itself":                           signed(forge(claims(agents, everything), user)),
		"an agent's JWT with its name changed":                       signed(changed(mine.token)),
		"an agent's JWT without an algorithm":                        signed(unsigned(mine.token)),
		// What follows needs the key that the coordinator signs agents with.
		"a lapsed JWT": signed(sign(claims(agents, func(c *jwt.UserClaims) {
			scoped(c)
			c.Expires = time.Now().Add(-time.Second).Unix()
		}), w.seed("scope"))),
		"a JWT with wider permissions than its scope":     signed(sign(claims(agents, everything), w.seed("scope"))),
		"an agent's JWT for the account of the streams":   signed(sign(claims(mesh, scoped), w.seed("scope"))),
		"an agent's JWT for a machine at another address": signed(sign(claims(agents, func(c *jwt.UserClaims) { c.SetScoped(false); c.Src.Add("192.0.2.0/24") }), w.seed("scope"))),
		"a JWT that nobody need sign for, with the scope": signed(sign(claims(agents, func(c *jwt.UserClaims) { c.BearerToken = true }), w.seed("scope"))),
		"an account's JWT in the place of a user's":       signed(accountToken(account)),
		"a JWT of 100 kB":         signed(strings.Repeat("x", 100_000)),
		"no JWT, but a signature": func(r *raw) connect { return connect{Signature: r.sign(mine.seed)} },
	}
}

// forge signs claims with a key that the library would not let sign them.
func forge(c *jwt.UserClaims, user nkeys.KeyPair) string {
	account, err := nkeys.CreateAccount()
	if err != nil {
		return err.Error()
	}
	parts := strings.Split(sign(c, account), ".")
	signature, err := user.Sign([]byte(parts[0] + "." + parts[1]))
	if err != nil {
		return err.Error()
	}
	return parts[0] + "." + parts[1] + "." + encode(signature)
}

// changed is a token whose claims were changed after they were signed.
func changed(token string) string {
	parts := strings.Split(token, ".")
	parts[1] = encode([]byte(strings.ReplaceAll(decode(parts[1]), own, other)))
	return strings.Join(parts, ".")
}

// unsigned is a token that asks not to be verified.
func unsigned(token string) string {
	parts := strings.Split(token, ".")
	return encode([]byte(`{"typ":"JWT","alg":"none"}`)) + "." + parts[1] + "."
}

func accountToken(key nkeys.KeyPair) string {
	public, err := key.PublicKey()
	if err != nil {
		return err.Error()
	}
	token, err := jwt.NewAccountClaims(public).Encode(key)
	if err != nil {
		return err.Error()
	}
	return token
}

// tooMany opens more connections to knock with than one client may keep.
func (w *world) tooMany() {
	w.try("stranger", "a hundred connections at once", func() error {
		var first *raw
		for range 100 {
			r, err := knock(w.address(), w.tls())
			if err != nil {
				return err
			}
			defer r.Close()
			if err := r.enter(connect{}); err != nil {
				return err
			}
			if first == nil {
				first = r
			}
		}
		return first.say("") // who comes last may have a token: the first of them go
	})
}

// names tries to be enrolled, or issued credentials, under names that would open more than one agent's subjects.
func (w *world) names() {
	public, _, err := bus.NewKey()
	must(w.t, err)
	for _, name := range []string{">", "*", "nc036.>", "nc036.x", "NC036", "nc 036", "", "-x", "nc\u043036", "{{name()}}", "nc036\r\nPUB", strings.Repeat("x", 64)} {
		w.try("stranger", fmt.Sprintf("credentials for the name %q", name), func() error {
			_, err := w.server.Issue(name, public)
			return err
		})
		w.try("stranger", fmt.Sprintf("join as %q with another host's token", name), func() error { return w.join(name) })
	}
	w.try("stranger", "credentials for an account's key", func() error {
		key, err := w.seed("agents").PublicKey()
		must(w.t, err)
		_, err = w.server.Issue("nc050", key)
		return err
	})
}

// join redeems a token for one host under another name.
func (w *world) join(name string) error {
	invited, err := w.desk.Invite(w.t.Context(), "nc050")
	must(w.t, err)
	token, err := wire.ParseToken(invited)
	must(w.t, err)
	token.Host = name
	_, err = agentenrol.Join(w.t.Context(), token.String(), w.t.TempDir(), nil)
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), "forged") {
		return err
	}
	return errors.Join(err, fmt.Errorf("for another reason than its name"))
}
