package engine

import (
	"strings"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// warnSharedIdentities warns operators about vantages whose identity two agents use. Each change is logged once.
func (e *Engine) warnSharedIdentities(s *mesh.Snapshot) {
	var shared []string
	for _, v := range s.Vantages {
		if !v.IdentityShared.IsZero() {
			shared = append(shared, v.Name+" since "+v.IdentityShared.UTC().Format("15:04:05Z"))
		}
	}
	text := ""
	if len(shared) > 0 {
		text = "two agents use one identity, so its vantage does not vote: " + strings.Join(shared, ", ") +
			"; stop one, revoke the identity, and join each machine again under its own name"
	}
	e.Warn("identity", text)
}
