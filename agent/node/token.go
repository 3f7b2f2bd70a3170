package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/probemesh/probemesh/pkg/regularfile"
)

// tokenMax bounds what is read of a file that should hold a token, which has about two hundred bytes.
const tokenMax = 4096

// ReadToken returns the token that the argument of a command names: the argument itself, "-" for standard input, or
// file:PATH. Other users of the machine can see a program's arguments, and the shell stores them; a token in a file
// or a pipe stays out of both.
func ReadToken(argument string, stdin io.Reader) (string, error) {
	from := stdin
	if path, ok := strings.CutPrefix(argument, "file:"); ok {
		text, _, err := regularfile.Read(path, tokenMax)
		if err != nil {
			return "", fmt.Errorf("token file: %w", err)
		}
		from = bytes.NewReader(text)
	} else if argument != "-" {
		return argument, nil
	}
	text, err := io.ReadAll(io.LimitReader(from, tokenMax))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", errors.New("read the token: there is none; give what `coordinator invite HOST` printed")
	}
	return token, nil
}
