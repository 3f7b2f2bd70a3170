package quotaguard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/quota"
)

// removeMax bounds how many messages of an agent enforce removes at once, so that counting continues in between.
const removeMax = 4096

// enforce refreshes the budgets, withdraws agents that overspend, and advances the withdrawals in force. A failure for
// one agent does not stop the others from being handled.
func (g *Guard) enforce(ctx context.Context) (err error) {
	if err := g.load(ctx); err != nil {
		return err
	}
	if err := g.refresh(ctx); err != nil {
		return err
	}
	for _, agent := range g.tally.Agents() {
		if g.overspent(agent) {
			err = errors.Join(err, g.withdraw(ctx, agent, g.withdrawn[agent], g.tally.Used(agent), g.budget(agent)))
		}
	}
	for _, agent := range slices.Sorted(maps.Keys(g.withdrawn)) {
		if w := g.withdrawn[agent]; w.Ended {
			err = errors.Join(err, g.restore(ctx, w.Key))
		} else {
			err = errors.Join(err, g.uphold(ctx, agent, w))
		}
	}
	g.Warn("overspending", g.warning())
	return err
}

// budget returns how many bytes an agent may have in OBS.
func (g *Guard) budget(agent string) int64 {
	if b, ok := g.budgets[agent]; ok {
		return b
	}
	return g.unlisted
}

// withdraw starts a withdrawal. An agent that is not in the ledger has no key to refuse: only its excess is removed.
func (g *Guard) withdraw(ctx context.Context, agent string, before quota.Withdrawal, used, budget int64) error {
	member, err := g.Members.Agent(ctx, agent)
	if err != nil && !errors.Is(err, ledger.ErrNoAgent) {
		return err
	}
	w := quota.Withdraw(before, member.PublicKey, g.Now(), used, budget)
	if err := g.save(ctx, agent, w); err != nil {
		return err
	}
	// The servers still have the state of the former term.
	delete(g.applied, w.Key)
	delete(g.restored, w.Key)
	g.Logger.Warn().Str("agent", agent).Int64("bytes", used).Int64("budget", budget).Time("until", w.Until).Int("times",
		w.Times).
		Msg("agent exceeded its publish budget: right to publish withdrawn")
	return nil
}

// uphold makes the servers refuse the agent and removes its excess. It ends the withdrawal once the excess is removed
// and the term is over or the host has joined with another key.
func (g *Guard) uphold(ctx context.Context, agent string, w quota.Withdrawal) error {
	member, err := g.Members.Agent(ctx, agent)
	if err != nil && !errors.Is(err, ledger.ErrNoAgent) {
		return err
	}
	rejoined := err == nil && member.PublicKey != w.Key
	if w.Key != "" && !rejoined && !g.applied[w.Key] {
		if err := g.Issuer.Withdraw(ctx, w.Key, w.Until); err != nil {
			return err
		}
		g.applied[w.Key] = true
		delete(g.restored, w.Key)
	}
	if err := g.trim(ctx, agent, w); err != nil {
		return err
	}
	if len(g.excess[agent]) > 0 || g.Now().Before(w.Until) && !rejoined {
		return nil
	}
	w.Ended = true
	if rejoined { // an operator readmitted it: its next term counts as the first
		w.Times, w.Until = 0, g.Now()
	}
	if err := g.save(ctx, agent, w); err != nil {
		return err
	}
	delete(g.applied, w.Key)
	g.Logger.Info().Str("agent", agent).Bool("rejoined", rejoined).Msg("agent may publish again")
	return g.restore(ctx, w.Key)
}

// restore makes the servers admit a key again. Each process does so once for each withdrawal that is over, since the
// previous process may have stopped after it stored the end of the term and before it restored the key.
func (g *Guard) restore(ctx context.Context, key string) error {
	if key == "" || g.restored[key] {
		return nil
	}
	since, err := g.Members.Since(ctx, key)
	if err != nil {
		return err
	}
	if err := g.Issuer.Restore(ctx, key, since); err != nil {
		return err
	}
	g.restored[key] = true
	return nil
}

// trim removes the agent's newest messages, so that half of its budget stays: see quota.Retained.
func (g *Guard) trim(ctx context.Context, agent string, w quota.Withdrawal) error {
	keep := quota.Retained(w.Budget)
	if len(g.excess[agent]) == 0 {
		if g.tally.Used(agent) <= keep {
			return nil
		}
		stored, err := g.Bus.Batches(ctx, agent)
		if err != nil {
			return err
		}
		kept := int64(0)
		// The oldest stay: they are from before the flood, and may be evidence.
		for i, s := range stored {
			if kept+s.Bytes > keep {
				for _, excess := range stored[i:] {
					g.excess[agent] = append(g.excess[agent], excess.Sequence)
				}
				break
			}
			kept += s.Bytes
		}
		g.tally.Trim(agent, kept)
	}
	part := g.excess[agent][:min(len(g.excess[agent]), removeMax)]
	if err := g.Bus.RemoveBatches(ctx, part); err != nil {
		return err
	}
	if g.excess[agent] = g.excess[agent][len(part):]; len(g.excess[agent]) == 0 {
		delete(g.excess, agent)
		g.Logger.Info().Str("agent", agent).Int64("bytes", keep).Msg("agent excess removed; its oldest bytes are kept")
	}
	return nil
}

// refresh computes the budgets from all catalogs of the last two days, since the stream still holds what agents
// published under the earlier ones. It resizes OBS to what the present catalog needs.
func (g *Guard) refresh(ctx context.Context) error {
	now := g.Now()
	if now.Sub(g.budgetsAt) < catalogEvery {
		return nil
	}
	catalogs, err := g.Catalogs(ctx, now.Add(-quota.Window))
	if err != nil || len(catalogs) == 0 {
		return err
	}
	budgets, unlisted, plans := map[string]int64{}, int64(0), map[string]quota.Plan{}
	for _, c := range catalogs {
		p, ok := g.plans[c.Revision]
		if !ok {
			p = g.Plan(c)
		}
		for agent, need := range p.Agents {
			budgets[agent] = max(budgets[agent], need.Budget)
		}
		for former, h := range c.FormerHosts() { // the agent of a renamed host publishes under its former name
			budgets[former] = max(budgets[former], p.Agents[h.Key()].Budget)
		}
		plans[c.Revision], unlisted = p, max(unlisted, p.Unlisted)
	}
	g.budgets, g.unlisted, g.budgetsAt, g.plans = budgets, unlisted, now, plans
	g.catalog = catalogs[0]
	present, text := plans[g.catalog.Revision], ""
	need, size := present.Size, min(present.Size, quota.StreamMax)
	if size != g.size {
		if err := g.Bus.ResizeObservations(ctx, size); err != nil {
			text = fmt.Sprintf("the stream of observations needs %s and cannot be resized: %v; raise the limit of NATS "+
				"(max_file_store), or a flooding agent shortens how far `explain` reaches back", gigabytes(size), err)
		} else {
			g.size = size
		}
	}
	if text == "" && need > size {
		text = fmt.Sprintf("the catalog may need %s of observations for two days and the stream has %s: "+
			"`explain` reaches back %s while no agent overspends; longer check intervals extend that",
			gigabytes(need), gigabytes(size), present.Reach(size).Round(time.Hour))
	}
	g.Warn("observations", text)
	return nil
}

// warning returns the text for operators: the agents that may not publish, and what to do.
func (g *Guard) warning() string {
	var out []string
	for _, agent := range slices.Sorted(maps.Keys(g.withdrawn)) {
		if w := g.withdrawn[agent]; !w.Ended {
			out = append(out, fmt.Sprintf("agent %s may not publish until %s: it published %s within two days, and its budget "+
				"is %s; if its server is compromised, run `coordinator revoke %[1]s`; to readmit it earlier, "+
				"run `coordinator invite %[1]s` and join again",
				g.hostName(agent), w.Until.UTC().Format("2006-01-02 15:04Z"), gigabytes(w.Used), gigabytes(w.Budget)))
		}
	}
	return strings.Join(out, "; ")
}

// hostName returns how the catalog spells the name of an agent's host.
func (g *Guard) hostName(agent string) string {
	if g.catalog == nil {
		return agent
	}
	return g.catalog.HostName(agent)
}

func gigabytes(n int64) string { return fmt.Sprintf("%.2f GB", float64(n)/1e9) }
