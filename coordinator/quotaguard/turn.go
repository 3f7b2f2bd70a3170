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

// removeMax bounds how many messages of an agent one turn removes, so that counting continues between turns.
const removeMax = 4096

// turn refreshes the budgets, withdraws agents that overspend, and advances the withdrawals in force. A failure for
// one agent does not stop the others from being handled.
func (a *Guard) turn(ctx context.Context) (err error) {
	if err := a.load(ctx); err != nil {
		return err
	}
	if err := a.refresh(ctx); err != nil {
		return err
	}
	for _, agent := range a.tally.Agents() {
		if a.overspent(agent) {
			err = errors.Join(err, a.withdraw(ctx, agent, a.withdrawn[agent], a.tally.Used(agent), a.budget(agent)))
		}
	}
	for _, agent := range slices.Sorted(maps.Keys(a.withdrawn)) {
		if w := a.withdrawn[agent]; w.Over {
			err = errors.Join(err, a.restore(ctx, w.Key))
		} else {
			err = errors.Join(err, a.uphold(ctx, agent, w))
		}
	}
	a.Warn("overspending", a.words())
	return err
}

func (a *Guard) budget(agent string) int64 {
	if b, ok := a.budgets[agent]; ok {
		return b
	}
	return a.unlisted
}

// withdraw starts a withdrawal. An agent that is not in the ledger has no key to refuse: only its excess is removed.
func (a *Guard) withdraw(ctx context.Context, agent string, before quota.Withdrawal, used, budget int64) error {
	member, err := a.Members.Agent(ctx, agent)
	if err != nil && !errors.Is(err, ledger.ErrNoAgent) {
		return err
	}
	w := quota.Withdraw(before, member.PublicKey, a.Now(), used, budget)
	if err := a.save(ctx, agent, w); err != nil {
		return err
	}
	delete(a.applied, w.Key)
	delete(a.restored, w.Key)
	a.Logger.Warn().Str("agent", agent).Int64("bytes", used).Int64("budget", budget).Time("until", w.Until).Int("times", w.Times).
		Msg("agent exceeded its publish budget: right to publish withdrawn")
	return nil
}

// uphold makes the servers refuse the agent and removes its excess. It ends the withdrawal once the excess is removed
// and the term is over or the host has joined with another key.
func (a *Guard) uphold(ctx context.Context, agent string, w quota.Withdrawal) error {
	member, err := a.Members.Agent(ctx, agent)
	if err != nil && !errors.Is(err, ledger.ErrNoAgent) {
		return err
	}
	joinedAnew := err == nil && member.PublicKey != w.Key
	if w.Key != "" && !joinedAnew && !a.applied[w.Key] {
		if err := a.Issuer.Withdraw(ctx, w.Key, w.Until); err != nil {
			return err
		}
		a.applied[w.Key] = true
		delete(a.restored, w.Key)
	}
	if err := a.trim(ctx, agent, w); err != nil {
		return err
	}
	if len(a.excess[agent]) > 0 || a.Now().Before(w.Until) && !joinedAnew {
		return nil
	}
	w.Over = true
	if joinedAnew { // an operator readmitted it: its next term counts as the first
		w.Times, w.Until = 0, a.Now()
	}
	if err := a.save(ctx, agent, w); err != nil {
		return err
	}
	delete(a.applied, w.Key)
	a.Logger.Info().Str("agent", agent).Bool("joined_anew", joinedAnew).Msg("agent may publish again")
	return a.restore(ctx, w.Key)
}

// restore makes the servers admit a key again. Each process does so once for each withdrawal that is over, since the
// previous process may have stopped after it stored the end of the term and before it restored the key.
func (a *Guard) restore(ctx context.Context, key string) error {
	if key == "" || a.restored[key] {
		return nil
	}
	if err := a.Issuer.Restore(ctx, key); err != nil {
		return err
	}
	a.restored[key] = true
	return nil
}

// trim removes the agent's newest messages, so that half of its budget stays: see quota.Keep.
func (a *Guard) trim(ctx context.Context, agent string, w quota.Withdrawal) error {
	keep := quota.Keep(w.Budget)
	if len(a.excess[agent]) == 0 {
		if a.tally.Used(agent) <= keep {
			return nil
		}
		stored, err := a.Bus.Batches(ctx, agent)
		if err != nil {
			return err
		}
		kept := int64(0)
		for i, s := range stored {
			if kept+s.Bytes > keep {
				for _, excess := range stored[i:] {
					a.excess[agent] = append(a.excess[agent], excess.Sequence)
				}
				break
			}
			kept += s.Bytes
		}
		a.tally.Trim(agent, kept)
	}
	part := a.excess[agent][:min(len(a.excess[agent]), removeMax)]
	if err := a.Bus.RemoveBatches(ctx, part); err != nil {
		return err
	}
	if a.excess[agent] = a.excess[agent][len(part):]; len(a.excess[agent]) == 0 {
		delete(a.excess, agent)
		a.Logger.Info().Str("agent", agent).Int64("bytes", keep).Msg("agent excess removed; its oldest bytes are kept")
	}
	return nil
}

// refresh computes the budgets from all catalogs of the last two days, since the stream still holds what agents
// published under the earlier ones. It resizes OBS to what the present catalog needs.
func (a *Guard) refresh(ctx context.Context) error {
	now := a.Now()
	if now.Sub(a.budgetsAt) < catalogEvery {
		return nil
	}
	catalogs, err := a.Catalogs(ctx, now.Add(-quota.Window))
	if err != nil || len(catalogs) == 0 {
		return err
	}
	budgets, unlisted, plans := map[string]int64{}, int64(0), map[string]quota.Plan{}
	for _, c := range catalogs {
		p, ok := a.plans[c.Revision]
		if !ok {
			p = a.Plan(c)
		}
		for agent, need := range p.Agents {
			budgets[agent] = max(budgets[agent], need.Budget)
		}
		plans[c.Revision], unlisted = p, max(unlisted, p.Unlisted)
	}
	a.budgets, a.unlisted, a.budgetsAt, a.plans = budgets, unlisted, now, plans
	present, text := plans[catalogs[0].Revision], ""
	need, size := present.Size, min(present.Size, quota.StreamMax)
	if size != a.size {
		if err := a.Bus.ResizeObservations(ctx, size); err != nil {
			text = fmt.Sprintf("the stream of observations needs %s and cannot be resized: %v; raise the limit of NATS (max_file_store), "+
				"or a flooding agent shortens how far `explain` reaches back", gigabytes(size), err)
		} else {
			a.size = size
		}
	}
	if text == "" && need > size {
		text = fmt.Sprintf("the catalog may need %s of observations for two days and the stream has %s: `explain` reaches back %s "+
			"while no agent overspends; longer check intervals extend that", gigabytes(need), gigabytes(size), present.Reach(size).Round(time.Hour))
	}
	a.Warn("observations", text)
	return nil
}

// words returns the warning for operators: the agents that may not publish, and what to do.
func (a *Guard) words() string {
	var out []string
	for _, agent := range slices.Sorted(maps.Keys(a.withdrawn)) {
		if w := a.withdrawn[agent]; !w.Over {
			out = append(out, fmt.Sprintf("agent %s may not publish until %s: it published %s within two days, and its budget is %s; if its server "+
				"is compromised, run `coordinator revoke %[1]s`; to readmit it earlier, run `coordinator invite %[1]s` and join again",
				agent, w.Until.UTC().Format("2006-01-02 15:04Z"), gigabytes(w.Used), gigabytes(w.Budget)))
		}
	}
	return strings.Join(out, "; ")
}

func gigabytes(n int64) string { return fmt.Sprintf("%.2f GB", float64(n)/1e9) }
