package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"

	"github.com/probemesh/probemesh/pkg/address"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Encode returns a catalog as JSON, for another program.
func Encode(c *Catalog) ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode catalog: %w", err)
	}
	return data, nil
}

// Decode reads what Encode wrote. It checks every bound again, since a peer is never trusted.
func Decode(data []byte) (*Catalog, error) {
	var c Catalog
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&c); err != nil {
		return nil, fmt.Errorf("decode catalog: %w", err)
	}
	if err := Validate(&c); err != nil {
		return nil, fmt.Errorf("decode catalog: %w", err)
	}
	if !revisionPattern.MatchString(c.Revision) {
		return nil, fmt.Errorf("decode catalog: %q is not a revision", c.Revision)
	}
	return &c, nil
}

// revisionPattern matches a revision. A reader cannot compute the revision itself: a program of another version may
// know more or fewer fields.
var revisionPattern = regexp.MustCompile(`^[0-9a-f]{12}$`)

// revision returns the hash of a catalog's content.
func revision(c *Catalog) string {
	plain := c.withoutFirstIDs()
	plain.Revision = ""
	data, err := json.Marshal(plain)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

// Seal sets the revision of a catalog whose content was changed, and gives ids to what has none.
func Seal(c *Catalog) {
	c.fillIDs()
	c.Revision = revision(c)
}

// Validate returns an error if Decode would refuse the catalog.
func Validate(c *Catalog) error {
	if len(c.Hosts) > HostsMax || len(c.Regions) > RegionsMax || len(c.Page.Links) > LinksMax {
		return fmt.Errorf("too many hosts (%d), regions (%d) or links (%d)",
			len(c.Hosts), len(c.Regions), len(c.Page.Links))
	}
	regions, hosts := map[string]bool{}, map[string]bool{}
	for _, r := range c.Regions {
		if !ValidName(r.Name) || regions[r.Name] || math.Abs(r.Latitude) > 90 || math.Abs(r.Longitude) > 180 {
			return fmt.Errorf("the region %q is invalid or given twice", r.Name)
		}
		if len(r.Anchors) > AnchorsMax || slices.ContainsFunc(r.Anchors, invalidAnchor) {
			return fmt.Errorf("the region %q has an invalid anchor, or too many", r.Name)
		}
		regions[r.Name] = true
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		if !ValidName(h.Key()) || hosts[h.Key()] || !regions[h.Region] {
			return fmt.Errorf("the host %q is invalid or given twice", h.Name)
		}
		hosts[h.Key()] = true
		if err := h.bounded(regions); err != nil {
			return fmt.Errorf("host %s: %w", h.Name, err)
		}
	}
	if err := c.SLA.Or().Validate(); err != nil {
		return fmt.Errorf("sla: %w", err)
	}
	if err := c.IncidentsOr().bounded(); err != nil {
		return fmt.Errorf("incidents: %w", err)
	}
	if err := c.notifyBounded(); err != nil {
		return err
	}
	if err := needsBounded(c); err != nil {
		return err
	}
	if err := c.uniqueIDs(); err != nil {
		return err
	}
	return c.Rule.Validate()
}

func (h *Host) bounded(regions map[string]bool) error {
	if len(h.Checks) > ChecksMax || len(h.Labels) > LabelsMax || len(h.Addresses) > AddressesMax {
		return fmt.Errorf("too many checks, labels or addresses")
	}
	for _, a := range h.Addresses {
		if _, err := address.ParseHost(a); err != nil {
			return err
		}
	}
	names := map[string]bool{}
	for i := range h.Checks {
		c := &h.Checks[i]
		if c.Name == "" || names[c.Name] || len(h.Addresses) == 0 {
			return fmt.Errorf("the check %q is invalid or given twice", c.Name)
		}
		names[c.Name] = true
		if err := c.bounded(); err != nil {
			return fmt.Errorf("check %s: %w", c.Name, err)
		}
		for n, f := range c.Families {
			if f == mesh.AnyFamily || !h.HasFamily(f) || n > 0 && c.Families[n-1] >= f {
				return fmt.Errorf("check %s: invalid address families", c.Name)
			}
		}
		for n, r := range c.Except {
			if !regions[r] || n > 0 && c.Except[n-1] >= r {
				return fmt.Errorf("check %s: invalid regions in except", c.Name)
			}
		}
	}
	return nil
}

func invalidAnchor(text string) bool {
	_, _, ok := Anchor(text)
	return !ok
}

// bounded accepts a kind that this version does not know: an agent older than the catalog reports such a check as
// inconclusive.
func (c *Check) bounded() error {
	most := IntervalMax
	if c.SharesServer() || c.Options == nil { // a later version may have more kinds that share one
		most = SharedIntervalMax
	}
	if c.Interval < IntervalMin || c.Interval > most || c.Timeout < TimeoutMin || c.Timeout > TimeoutMax ||
		c.Timeout >= c.Interval {
		return fmt.Errorf("interval %v or timeout %v is out of bounds", c.Interval, c.Timeout)
	}
	switch {
	case c.Options == nil && !slices.Contains(Kinds(), c.Kind):
		return nil
	case c.Options == nil || c.Options.kind() != c.Kind:
		return fmt.Errorf("a check of the kind %q has the options of another kind", c.Kind)
	}
	if err := c.secretsBounded(); err != nil {
		return err
	}
	return c.Options.validate()
}
