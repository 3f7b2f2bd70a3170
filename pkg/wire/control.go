package wire

import (
	"encoding/json"
	"fmt"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Bounds of what a coordinator sends.
const (
	CatalogBytesMax = 32 << 20 // of a catalog, decompressed
	RosterMax       = catalog.HostsMax
	ControlBytesMax = 4 << 10
)

// EncodeCatalog encodes a catalog as compressed JSON.
func EncodeCatalog(c *catalog.Catalog) ([]byte, error) {
	data, err := catalog.Encode(c)
	if err != nil {
		return nil, err
	}
	return pack(data)
}

// DecodeCatalog decodes what EncodeCatalog wrote.
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

	Hosts map[string]string `json:"hosts,omitempty"`
}

// EncodeRoster encodes the list of enrolled vantages.
func EncodeRoster(r *mesh.Roster) ([]byte, error) {
	data, err := json.Marshal(roster{Version, r.Vantages, r.Hosts})
	if err != nil {
		return nil, fmt.Errorf("encode roster: %w", err)
	}
	return data, nil
}

// DecodeRoster decodes what EncodeRoster wrote.
func DecodeRoster(data []byte) (*mesh.Roster, error) {
	var in roster
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("decode roster: %w", err)
	}
	if len(in.Vantages) > RosterMax || len(in.Hosts) > RosterMax {
		return nil, fmt.Errorf("decode roster: %d vantages: %w", len(in.Vantages), ErrTooLarge)
	}
	return &mesh.Roster{Vantages: in.Vantages, Hosts: in.Hosts}, nil
}

// Control is a message of the coordinator to all agents, with one field set. A message of a later version, which an
// agent does not know, has none set.
type Control struct {
	Round   *mesh.RoundRequest // run the checks of a host now
	Catalog string             // a new catalog with this revision is in force
	Renew   bool               // request a new grant
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

// EncodeControl encodes a control message.
func EncodeControl(c Control) ([]byte, error) {
	out := control{V: Version, Catalog: c.Catalog, Renew: c.Renew}
	if c.Round != nil {
		out.Look = &look{c.Round.Round, c.Round.Host}
	}
	data, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode control: %w", err)
	}
	return data, nil
}

// DecodeControl decodes what EncodeControl wrote.
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
		out.Round = &mesh.RoundRequest{Round: in.Look.Round, Host: in.Look.Host}
	}
	return out, nil
}
