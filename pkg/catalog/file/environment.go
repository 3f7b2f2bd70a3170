package file

import "github.com/probemesh/probemesh/pkg/catalog"

// Environment is what a file refers to, and by what the parser checks it.
type Environment struct {
	// Getenv returns the value of a variable.
	Getenv func(name string) (string, bool)
	// SecretError returns why the value of "${NAME}" or "file:PATH" cannot be read, or nil. Its error must not contain
	// the value.
	SecretError func(reference string) error
	// AddressProblem returns why nothing can be sent with the value of the key server, webhook, secret or url in the
	// sections notify and announce, and how to mend it; "" if the value may work. Its texts must not contain the value.
	// Without it, only the form of values without secrets is checked.
	AddressProblem func(key string, text catalog.SecretText) (what, mend string)
}
