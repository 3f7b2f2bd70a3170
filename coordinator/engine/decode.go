package engine

import (
	"context"
	"fmt"

	"github.com/probemesh/probemesh/pkg/admission"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/ledger/view"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// decoder turns the stream's messages into the judge's input. The loop and every replay have one each, which decide
// alike, since they read the same messages.
type decoder struct {
	view   *view.View
	filter *admission.Filter // which agents' batches are admitted
	roster *mesh.Roster      // as the stream has it
}

// present returns the roster with the present names of the agents' hosts.
func (d *decoder) present() *mesh.Roster {
	out := &mesh.Roster{}
	for _, agent := range d.roster.Vantages {
		out.Vantages = append(out.Vantages, d.filter.Key(agent))
	}
	return out
}

func newDecoder(v *view.View, c *catalog.Catalog, r *mesh.Roster) *decoder {
	d := &decoder{v, admission.New(c), r}
	d.filter.SetRoster(r)
	return d
}

// decode reads a message. excluded reports that the message got its agent excluded; an error, that it is malformed.
func (d *decoder) decode(ctx context.Context, m message) (in judge.Input, excluded bool, err error) {
	in = judge.Input{Sequence: m.Sequence, At: m.at, Offset: m.offset}
	switch m.Kind {
	case bus.Batch:
		in.Batch, excluded, err = d.admit(m)
	case bus.CatalogMark:
		if in.Catalog, err = d.view.CatalogOf(ctx, string(m.Data)); err == nil {
			d.filter.SetCatalog(in.Catalog)
		}
	case bus.RosterMark:
		if in.Roster, err = wire.DecodeRoster(m.Data); err == nil {
			d.roster = in.Roster
			d.filter.SetRoster(in.Roster)
		}
	}
	return in, excluded, err
}

// admit reads a batch and returns what the judge may see of it. Malformed batches count against their agent, too.
func (d *decoder) admit(m message) (admitted *mesh.Batch, excluded bool, err error) {
	var b *mesh.Batch
	if m.ahead != nil {
		b, err = m.ahead.batch, m.ahead.err
	} else {
		b, err = readBatch(m)
	}
	if err != nil {
		b = nil
	}
	admitted, excluded = d.filter.Admit(m.at, m.Agent, len(m.Data), b, err)
	return admitted, excluded, err
}

func readBatch(m message) (*mesh.Batch, error) {
	age, link, err := wire.ParseHeaders(m.Header)
	if err != nil {
		return nil, err
	}
	b, err := wire.DecodeBatch(m.Data, age, link, m.at)
	if err != nil {
		return b, err
	}
	b.Clock += m.offset // the agent's clock is compared with the wall clock
	if b.Agent != m.Agent && !b.History() {
		err = fmt.Errorf("the batch names another agent, %q", b.Agent)
	}
	b.Agent = m.Agent // a batch that waited may be from before the agent's credentials got another name
	return b, err
}
