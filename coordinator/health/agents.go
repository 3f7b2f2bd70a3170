package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// silentAfter is how long an agent may be silent before it is reported: longer than a restart takes, and well within
// a minute.
const silentAfter = 30 * time.Second

// Agents notices agents that are silent, and identities that two agents use. Its methods are called by one goroutine,
// the engine's loop.
type Agents struct {
	warnings *Warnings
	logger   zerolog.Logger

	expected map[string]time.Time // by key: when each vantage was first expected to report, mesh time
	reported map[string]bool      // by key: vantages whose silence was logged
	names    map[string]string    // by key: how the catalog spells them, or spelled them last
	enrolled map[string]bool      // by key; a host whose agent never joined is not silent
	isolated map[string]time.Time // by key: since when a vantage is isolated, mesh time
	notified map[string]string    // silent agents of which people were to be notified, by key
}

// NewAgents makes an Agents that reports to the warnings and the log.
func NewAgents(w *Warnings, l zerolog.Logger) *Agents { return &Agents{warnings: w, logger: l} }

// SetRoster sets which agents are enrolled.
func (a *Agents) SetRoster(r *mesh.Roster) {
	a.enrolled = map[string]bool{}
	for _, key := range r.Vantages {
		a.enrolled[key] = true
	}
}

// Observe updates the warnings from a snapshot in mesh time. The offset is mesh time less the wall clock.
func (a *Agents) Observe(s *mesh.Snapshot, offset time.Duration) {
	a.warnSilent(s, offset)
	a.warnIsolated(s, offset)
	a.warnRegions(s)
	a.warnWithoutHost(s)
	a.warnSharedIdentities(s, offset)
	a.warnRefusals(s)
}

func (a *Agents) warnSilent(s *mesh.Snapshot, offset time.Duration) {
	fell, recovered, silent := a.step(s.At, s.Vantages)
	for _, v := range fell {
		a.logger.Warn().Str("agent", v.Name).Time("heard", v.LastBatch.Add(-offset)).Msg("agent silent")
	}
	for _, v := range recovered {
		a.logger.Info().Str("agent", v.Name).Msg("agent recovered")
	}
	names := make([]string, len(silent))
	for i, v := range silent {
		names[i] = v.Name + " never reported"
		if !v.LastBatch.IsZero() {
			names[i] = v.Name + " since " + v.LastBatch.Add(-offset).UTC().Format("15:04:05Z")
		}
	}
	text := ""
	if len(names) > 0 {
		text = "silent agents: " + strings.Join(names, ", ")
	}
	a.warnings.set("silent", text) // not Warn: each agent was logged above
	a.notifySilent(s, silent, names)
}

// notifySilent makes an advisory of each silent agent. While half of the regions are silent that is one of its own, and
// the agents add nothing to it.
func (a *Agents) notifySilent(s *mesh.Snapshot, silent []mesh.VantageState, names []string) {
	parts := map[string]string{}
	for i, v := range silent {
		key := mesh.Key(v.Name)
		if text, before := a.notified[key]; before {
			parts[key] = text
		} else if len(s.Alerts) == 0 {
			parts[key] = "agent silent: " + names[i] + ". Its host is down, or its agent: nothing is seen from there."
		}
	}
	a.notified = parts
	a.warnings.setParts("silent", parts)
}

// warnRegions makes an advisory of the alerts of the snapshot.
func (a *Agents) warnRegions(s *mesh.Snapshot) {
	parts := map[string]string{}
	if len(s.Alerts) > 0 {
		parts["silent"] = strings.Join(s.Alerts, "; ")
	}
	a.warnings.setParts("regions", parts)
}

// warnIsolated makes an advisory of each vantage that has been isolated for some time. Pages show it beside the agent.
func (a *Agents) warnIsolated(s *mesh.Snapshot, offset time.Duration) {
	isolated, parts := map[string]time.Time{}, map[string]string{}
	for _, v := range s.Vantages {
		key := mesh.Key(v.Name)
		if v.Silent || !strings.HasPrefix(v.Abstains, "isolated") {
			continue
		}
		since, ok := a.isolated[key]
		if !ok {
			since = s.At
		}
		if isolated[key] = since; s.At.Sub(since) >= silentAfter {
			parts[key] = fmt.Sprintf("vantage %s isolated since %s: its own network may be at fault, and it does not vote",
				v.Name, since.Add(-offset).UTC().Format("15:04:05Z"))
		}
	}
	a.isolated = isolated
	a.warnings.setParts("isolated", parts)
}

// step returns the agents whose silence has become long enough to report since the last step, those that recovered,
// and all that are silent now. A silence counts from the last batch, but not from before the agent was first
// expected: this coordinator may have been away itself.
func (a *Agents) step(at time.Time, vantages []mesh.VantageState) (fell, recovered, silent []mesh.VantageState) {
	expected, reported := map[string]time.Time{}, map[string]bool{}
	for _, v := range vantages {
		key := mesh.Key(v.Name)
		since, ok := a.expected[key]
		if !ok {
			since = at
		}
		expected[key] = since
		if v.LastBatch.After(since) {
			since = v.LastBatch
		}
		quiet := a.enrolled[key] && (v.Silent || v.LastBatch.IsZero()) // one that was revoked is expected to be silent
		switch was := a.reported[key]; {
		case quiet && (was || at.Sub(since) >= silentAfter):
			reported[key] = true
			silent = append(silent, v)
			if !was {
				fell = append(fell, v)
			}
		case was && a.enrolled[key]:
			recovered = append(recovered, v)
		}
	}
	a.expected, a.reported = expected, reported
	return fell, recovered, silent
}

// namesMax bounds how many agents without a host a warning names.
const namesMax = 20

// warnWithoutHost warns of agents whose host is not in the catalog any more. They are not silent: nobody expects them.
func (a *Agents) warnWithoutHost(s *mesh.Snapshot) {
	known := map[string]bool{}
	for _, v := range s.Vantages {
		known[mesh.Key(v.Name)] = true
	}
	spelled := map[string]string{} // of no more than all that are enrolled
	var names []string
	for key := range a.enrolled {
		spelled[key] = cmp.Or(a.names[key], key)
		if !known[key] {
			names = append(names, spelled[key])
		}
	}
	for _, v := range s.Vantages {
		spelled[mesh.Key(v.Name)] = v.Name
	}
	a.names = spelled
	if len(names) == 0 {
		a.warnings.Warn("unlisted", "")
		return
	}
	slices.Sort(names)
	text := "agents whose host is not in the catalog, so they probe nothing and have no vote: " +
		strings.Join(names[:min(len(names), namesMax)], ", ")
	if more := len(names) - namesMax; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	a.warnings.Warn("unlisted", text+"; add the host again, or run `coordinator revoke HOST`")
}

func (a *Agents) warnSharedIdentities(s *mesh.Snapshot, offset time.Duration) {
	var shared []string
	for _, v := range s.Vantages {
		if !v.IdentityShared.IsZero() {
			shared = append(shared, v.Name+" since "+v.IdentityShared.Add(-offset).UTC().Format("15:04:05Z"))
		}
	}
	text := ""
	if len(shared) > 0 {
		text = "two agents use one identity, so its vantage does not vote: " + strings.Join(shared, ", ") +
			"; stop one, revoke the identity, and join each machine again under its own name"
	}
	a.warnings.Warn("identity", text)
}

// refusalsMax bounds how many different refusals of catalogs a warning names. Agents write the reasons.
const refusalsMax = 4

// warnRefusals warns of agents that received a catalog and cannot use it, by catalog and reason.
func (a *Agents) warnRefusals(s *mesh.Snapshot) {
	agents, refusals := map[mesh.Refusal][]string{}, []mesh.Refusal{}
	for _, v := range s.Vantages {
		if v.Refusal.Reason == "" || v.Silent {
			continue
		}
		if agents[v.Refusal] == nil {
			refusals = append(refusals, v.Refusal)
		}
		agents[v.Refusal] = append(agents[v.Refusal], v.Name)
	}
	var texts []string
	for _, r := range refusals[:min(len(refusals), refusalsMax)] {
		names := agents[r]
		list, verb := strings.Join(names[:min(len(names), namesMax)], ", "), "refuse"
		if more := len(names) - namesMax; more > 0 {
			list += fmt.Sprintf(" and %d more", more)
		} else if len(names) == 1 {
			verb = "refuses"
		}
		texts = append(texts, fmt.Sprintf("%s %s catalog %s: %q", list, verb, r.Revision, r.Reason))
	}
	text := strings.Join(texts, "; ")
	if more := len(refusals) - refusalsMax; more > 0 {
		text += "; and " + mesh.Count(more, "other reason")
	}
	if text != "" {
		text += "; until that is mended these agents probe by the catalog before, or nothing after a restart"
	}
	a.warnings.Warn("refusal", text)
}
