package wire

import (
	"encoding/json"
	"fmt"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Bounds of what the coordinator sends.
const (
	CatalogBytesMax = 32 << 20 // of a catalog once unpacked
	RosterMax       = catalog.HostsMax
	ControlBytesMax = 4 << 10
)

// EncodeCatalog packs a catalog for the bus: its JSON, in gzip.
func EncodeCatalog(c *catalog.Catalog) ([]byte, error) {
	data, err := catalog.Encode(c)
	if err != nil {
		return nil, err
	}
	return pack(data)
}

// DecodeCatalog unpacks a catalog.
func DecodeCatalog(data []byte) (*catalog.Catalog, error) {
	plain, err := unpack(data)
	if err != nil {
		return nil, err
	}
	return catalog.Decode(plain)
}

type roster struct {
	V        int      `json:"v"`
	Vantages []string `json:"vantages"`
}

// EncodeRoster writes who is enrolled.
func EncodeRoster(r *mesh.Roster) ([]byte, error) {
	data, err := json.Marshal(roster{Version, r.Vantages})
	if err != nil {
		return nil, fmt.Errorf("encode roster: %w", err)
	}
	return data, nil
}

// DecodeRoster reads who is enrolled.
func DecodeRoster(data []byte) (*mesh.Roster, error) {
	var in roster
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("decode roster: %w", err)
	}
	if len(in.Vantages) > RosterMax {
		return nil, fmt.Errorf("decode roster: %d vantages: %w", len(in.Vantages), ErrTooLarge)
	}
	return &mesh.Roster{Vantages: in.Vantages}, nil
}

// Control is one word of the coordinator to the agents; a word that an agent does not know is empty to it.
type Control struct {
	Look    *mesh.Ask // look now
	Catalog string    // there is a new catalog, of this revision
	Renew   bool      // ask for your grant anew
}

type control struct {
	V       int    `json:"v"`
	Look    *look  `json:"look,omitempty"`
	Catalog string `json:"catalog,omitempty"`
	Renew   bool   `json:"renew,omitempty"`
}

type look struct {
	Round uint64 `json:"round"`
	Host  string `json:"host"`
}

// EncodeControl writes a control word.
func EncodeControl(c Control) ([]byte, error) {
	out := control{V: Version, Catalog: c.Catalog, Renew: c.Renew}
	if c.Look != nil {
		out.Look = &look{c.Look.Round, c.Look.Host}
	}
	data, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode control: %w", err)
	}
	return data, nil
}

// DecodeControl reads a control word.
func DecodeControl(data []byte) (Control, error) {
	var in control
	if len(data) > ControlBytesMax {
		return Control{}, fmt.Errorf("decode control: %d bytes: %w", len(data), ErrTooLarge)
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return Control{}, fmt.Errorf("decode control: %w", err)
	}
	out := Control{Catalog: in.Catalog, Renew: in.Renew}
	if in.Look != nil {
		out.Look = &mesh.Ask{Round: in.Look.Round, Host: in.Look.Host}
	}
	return out, nil
}
