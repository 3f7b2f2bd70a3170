package catalogs

import (
	"fmt"

	"github.com/probemesh/probemesh/coordinator/notify/channel"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/secret"
)

// Environment checks a file by the secrets that this program can read, in its variables and files.
func Environment(getenv func(string) (string, bool)) catalogfile.Environment {
	read := func(reference string) (secret.Text, error) { return ReadSecret(reference, getenv) }
	return catalogfile.Environment{
		Getenv:      getenv,
		SecretError: func(reference string) error { _, err := read(reference); return err },
		AddressProblem: func(key string, t catalog.SecretText) (what, mend string) {
			return addressProblem(key, t, read)
		},
	}
}

// EnvironmentElsewhere checks a file whose secrets another program reads: every reference is accepted.
func EnvironmentElsewhere(getenv func(string) (string, bool)) catalogfile.Environment {
	return catalogfile.Environment{
		Getenv:      getenv,
		SecretError: func(string) error { return nil },
		AddressProblem: func(key string, t catalog.SecretText) (what, mend string) {
			if len(t.References) > 0 {
				return "", ""
			}
			return channel.Problem(key, secret.New(t.Text))
		},
	}
}

// addressProblem is channel.Problem for a text with references. A text of which a secret cannot be read is accepted:
// that is a mistake of its own.
func addressProblem(
	key string, t catalog.SecretText, read func(reference string) (secret.Text, error),
) (what, mend string) {
	values := map[string]secret.Text{}
	for _, name := range t.References {
		value, err := read(name)
		if err != nil {
			return "", ""
		}
		values[name] = value
	}
	value, err := t.Resolve(values)
	if err != nil {
		return "", ""
	}
	return channel.Problem(key, value)
}

// addressProblems returns why nothing can be sent to channels and accounts of a catalog, one a line.
func (v *vault) addressProblems(c *catalog.Catalog) (problems []string) {
	read := func(reference string) (secret.Text, error) { return ReadSecret(reference, v.getenv) }
	check := func(of, key string, t catalog.SecretText) {
		if !t.Given() {
			return
		}
		if what, mend := addressProblem(key, t, read); what != "" {
			problems = append(problems, fmt.Sprintf("%s: %s; %s", of, what, mend))
		}
	}
	if c.Notify != nil {
		if c.Notify.Mail != nil {
			check("notify.mail", "server", c.Notify.Mail.Server)
		}
		for _, ch := range c.Notify.Channels {
			check("the channel "+ch.Name, "webhook", ch.Webhook)
			check("the channel "+ch.Name, "secret", ch.Secret)
			check("the channel "+ch.Name, "url", ch.URL)
		}
	}
	for n, a := range c.Announce {
		check(fmt.Sprintf("account %d of announce", n+1), "url", a.URL)
	}
	return problems
}
