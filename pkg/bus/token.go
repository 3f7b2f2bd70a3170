package bus

import (
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
)

// Token is what a JWT says of its holder. The signature is the server's to check.
type Token struct {
	Name    string
	Key     string // public
	Issued  time.Time
	Expires time.Time // zero: never
}

// ReadJWT reads the JWT of an agent.
func ReadJWT(s string) (Token, error) {
	u, err := jwt.DecodeUserClaims(s)
	if err != nil {
		return Token{}, fmt.Errorf("read a JWT: %w", err)
	}
	t := Token{Name: u.Name, Key: u.Subject, Issued: time.Unix(u.IssuedAt, 0)}
	if u.Expires != 0 {
		t.Expires = time.Unix(u.Expires, 0)
	}
	return t, nil
}
