package node

import (
	"fmt"
	"os"
	"strings"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/regularfile"
	"github.com/probemesh/probemesh/pkg/secret"
)

// readSecrets reads the values that the check's options refer to with ${VAR} or file:PATH, as the coordinator does for
// a catalog, and records the references. A password need not be on the command line, which other users of the machine
// can read.
func readSecrets(check *catalog.Check) (map[string]secret.Text, error) {
	values := map[string]secret.Text{}
	for _, reference := range check.CredentialReferences() {
		value, err := readSecret(reference)
		if err != nil {
			return nil, err
		}
		check.Secrets = append(check.Secrets, reference)
		values[reference.Name] = value
	}
	return values, nil
}

func readSecret(reference catalog.Reference) (secret.Text, error) {
	if path, isFile := reference.Path(); isFile {
		text, _, err := regularfile.Read(path, secret.Max)
		if err != nil {
			return secret.Text{}, fmt.Errorf("%s: %w", reference.Key, err)
		}
		return secret.New(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")), nil
	}
	name := strings.TrimSuffix(strings.TrimPrefix(reference.Name, "${"), "}")
	value, set := os.LookupEnv(name)
	if !set {
		return secret.Text{}, fmt.Errorf("%s: the environment has no variable %s", reference.Key, name)
	}
	return secret.New(value), nil
}
