package penetration_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
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

// badCredentials tries to connect with wrong TLS and wrong credentials.
func (w *world) badCredentials() {
	w.attempt("anonymous", "no TLS", func() error {
		r, err := dialRaw(w.address(), nil)
		must(w.t, err)
		defer r.Close()
		return r.authenticate(connect{})
	})
	for version, name := range map[uint16]string{tls.VersionTLS10: "1.0", tls.VersionTLS11: "1.1",
		tls.VersionTLS12: "1.2"} {
		w.attempt("anonymous", "TLS "+name, func() error {
			config := w.tls()
			config.MinVersion, config.MaxVersion = version, version
			r, err := dialRaw(w.address(), config)
			if err == nil {
				r.Close()
			}
			return err
		})
	}
	w.falseServer()
	for what, c := range w.credentials() {
		w.attempt("anonymous", what, func() error {
			r, err := dialRaw(w.address(), w.tls())
			must(w.t, err)
			defer r.Close()
			if err := r.authenticate(c(r)); err != nil {
				return err
			}
			// It is connected without credentials, which permits join requests only.
			return r.send(pub(bus.SubjectObservations+own, "", "{}"))
		})
	}
	w.tooMany()
}

// falseServer has agents connect to a server that is not their coordinator.
func (w *world) falseServer() {
	impostor, err := server.Start(w.t.Context(), server.Config{Dir: w.t.TempDir(), Listen: "127.0.0.1:0",
		Logger: zerolog.Nop()})
	must(w.t, err)
	defer impostor.Close()
	address := strings.TrimPrefix(impostor.Servers()[0], "tls://")
	w.attempt("server", "a certificate of another CA, presented to an agent", func() error {
		_, err := dialRaw(address, w.tls())
		return err
	})
	pin, err := bus.Pin(w.server.CA())
	must(w.t, err)
	w.attempt("server", "a certificate of another CA, presented to a joining agent", func() error {
		_, err := busagent.RequestEnrolment(w.t.Context(), impostor.Servers(), pin, nil, []byte("{}"))
		return err
	})
}

// credentials returns CONNECT messages that must not authenticate an agent.
func (w *world) credentials() map[string]func(*rawConn) connect {
	mine, theirs := w.ids[own], w.ids[other]
	account, err := nkeys.CreateAccount()
	must(w.t, err)
	public, err := bus.PublicKey(mine.seed)
	must(w.t, err)
	user, err := nkeys.FromSeed([]byte(mine.seed))
	must(w.t, err)
	agents := w.publicKey("agents")
	signed := w.signedConnect
	out := map[string]func(*rawConn) connect{
		"a password": func(*rawConn) connect {
			return connect{User: "coordinator",
				Password: "coordinator"}
		},
		"a token":                            func(*rawConn) connect { return connect{Token: "coordinator"} },
		"an agent's JWT without a signature": func(*rawConn) connect { return connect{JWT: mine.token} },
		"an agent's JWT, signed with another's key": func(r *rawConn) connect {
			return connect{JWT: theirs.token, Signature: r.sign(mine.seed)}
		},
		"an agent's JWT, with the signature of another challenge": func(r *rawConn) connect {
			r.nonce = "yesterday"
			return connect{JWT: mine.token, Signature: r.sign(mine.seed)}
		},
		"an agent's public key without a JWT": func(r *rawConn) connect {
			return connect{NKey: public, Signature: r.sign(mine.seed)}
		},
		"a JWT of the attacker's own account":                 signed(sign(w.claims("", permitAll), account)),
		"a JWT of such an account that names the agents' one": signed(sign(w.claims(agents, permitAll), account)),
		"a JWT signed by the agent itself":                    signed(forge(w.claims(agents, permitAll), user)),
		"an agent's JWT with its name changed":                signed(changed(mine.token)),
		"an agent's JWT without an algorithm":                 signed(unsigned(mine.token)),
		"an account's JWT instead of a user's":                signed(accountToken(account)),
		"a JWT of 100 kB":                                     signed(strings.Repeat("x", 100_000)),
		"no JWT, but a signature": func(r *rawConn) connect {
			return connect{Signature: r.sign(mine.seed)}
		},
	}
	maps.Copy(out, w.stolenKeyCredentials())
	return out
}

// stolenKeyCredentials returns CONNECT messages with JWTs that are signed with the coordinator's key for agents. Even
// with it, an attacker must not get more than an agent may.
func (w *world) stolenKeyCredentials() map[string]func(*rawConn) connect {
	agents, mesh := w.publicKey("agents"), w.publicKey("mesh")
	signed := func(issuer string, change func(*jwt.UserClaims)) func(*rawConn) connect {
		return w.signedConnect(sign(w.claims(issuer, change), w.seed("scope")))
	}
	return map[string]func(*rawConn) connect{
		"an expired JWT": signed(agents, func(c *jwt.UserClaims) {
			c.SetScoped(true)
			c.Expires = time.Now().Add(-time.Second).Unix()
		}),
		"a JWT with wider permissions than its scope":   signed(agents, permitAll),
		"an agent's JWT for the account of the streams": signed(mesh, func(c *jwt.UserClaims) { c.SetScoped(true) }),
		"an agent's JWT for a machine at another address": signed(agents, func(c *jwt.UserClaims) {
			c.SetScoped(false)
			c.Src.Add("192.0.2.0/24")
		}),
		"a bearer JWT, signed with the scoped key": signed(agents, func(c *jwt.UserClaims) { c.BearerToken = true }),
	}
}

// claims returns claims for the attacker's own key, changed by a function that may be nil.
func (w *world) claims(issuer string, change func(*jwt.UserClaims)) *jwt.UserClaims {
	w.t.Helper()
	public, err := bus.PublicKey(w.ids[own].seed)
	must(w.t, err)
	c := jwt.NewUserClaims(public)
	c.Name, c.IssuerAccount = own, issuer
	if change != nil {
		change(c)
	}
	return c
}

func permitAll(c *jwt.UserClaims) {
	c.Pub.Allow.Add(">")
	c.Sub.Allow.Add(">")
}

// signedConnect returns the CONNECT message of a JWT with a valid signature of the server's challenge.
func (w *world) signedConnect(token string) func(*rawConn) connect {
	return func(r *rawConn) connect { return connect{JWT: token, Signature: r.sign(w.ids[own].seed)} }
}

func (w *world) publicKey(name string) string {
	w.t.Helper()
	key, err := w.seed(name).PublicKey()
	must(w.t, err)
	return key
}

// forge signs claims with a key that the library refuses to sign them with.
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

// changed returns a token whose claims were changed after it was signed.
func changed(token string) string {
	parts := strings.Split(token, ".")
	parts[1] = encode([]byte(strings.ReplaceAll(decode(parts[1]), own, other)))
	return strings.Join(parts, ".")
}

// unsigned returns a token that claims to need no signature.
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

// tooMany opens more connections without credentials than one client may have.
func (w *world) tooMany() {
	w.attempt("anonymous", "a hundred connections at once", func() error {
		var first *rawConn
		for range 100 {
			r, err := dialRaw(w.address(), w.tls())
			if err != nil {
				return err
			}
			defer r.Close()
			if err := r.authenticate(connect{}); err != nil {
				return err
			}
			if first == nil {
				first = r
			}
		}
		return first.send("") // the oldest are closed: the newest may have a token
	})
}

// names tries to join, or to be issued credentials, with names that would permit more than one agent's subjects.
func (w *world) names() {
	public, _, err := bus.NewKey()
	must(w.t, err)
	for _, name := range []string{">", "*", "nc036.>", "nc036.x", "NC036", "nc 036", "", "-x", "nc\u043036", "{{name()}}",
		"nc036\r\nPUB", strings.Repeat("x", 64)} {
		w.attempt("anonymous", fmt.Sprintf("credentials for the name %q", name), func() error {
			_, err := w.server.Issue(name, public)
			return err
		})
		w.attempt("anonymous", fmt.Sprintf("join as %q with another host's token", name),
			func() error { return w.join(name) })
	}
	w.attempt("anonymous", "credentials for an account's key", func() error {
		key, err := w.seed("agents").PublicKey()
		must(w.t, err)
		_, err = w.server.Issue("nc050", key)
		return err
	})
}

// join redeems a token for one host with another name.
func (w *world) join(name string) error {
	invited, err := w.enroller.Invite(w.t.Context(), "nc050")
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
	return errors.Join(err, fmt.Errorf("refused for another reason than its name"))
}
