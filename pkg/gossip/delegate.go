package gossip

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// Meta is what a member announces of itself.
type Meta struct {
	Region  string `json:"r,omitempty"`
	Version string `json:"v,omitempty"`
}

// metaMax bounds Meta in bytes: a region's name and a version, and room for what later versions add.
const metaMax = 320

// encodeMeta returns nothing where Meta would not fit.
func encodeMeta(m Meta) []byte {
	data, err := json.Marshal(m)
	if err != nil || len(data) > metaMax {
		return nil
	}
	return data
}

// decodeMeta decodes what another member, perhaps of a later version, announces.
func decodeMeta(data []byte) (m Meta) {
	if len(data) > metaMax || json.Unmarshal(data, &m) != nil {
		return Meta{}
	}
	return m
}

// delegate connects memberlist to the registry. memberlist calls it from goroutines of its own while it holds its
// lock, so nothing here may wait or call back.
type delegate struct {
	registry *registry
	meta     []byte
}

// NodeMeta returns what this member announces of itself.
func (d *delegate) NodeMeta(int) []byte { return d.meta }

// NotifyMsg handles the message of a member that is about to leave. memberlist itself does not distinguish members
// that leave from members that die.
func (d *delegate) NotifyMsg(message []byte) {
	if name, ok := bytes.CutPrefix(message, []byte(leavePrefix)); ok {
		d.registry.markLeaving(string(name))
	}
}

// leavePrefix begins the message of an agent that is stopped; its host's name follows.
const leavePrefix = "bye "

// GetBroadcasts, LocalState and MergeRemoteState are for state of an application's own, of which there is none here.
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d *delegate) LocalState(bool) []byte          { return nil }
func (d *delegate) MergeRemoteState([]byte, bool)   {}

// NotifyAlive decides whether a host may be a member: only hosts of the catalog, at their addresses, so that no
// member can direct the mesh's traffic at others.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	if len(n.Meta) > metaMax {
		return fmt.Errorf("its metadata has %d bytes, more than %d", len(n.Meta), metaMax)
	}
	return d.registry.admit(n.Name, nodeAddress(n))
}

// NotifyJoin, NotifyUpdate and NotifyLeave record changes of membership. NotifyLeave is also called for a member that
// died.
func (d *delegate) NotifyJoin(n *memberlist.Node) {
	d.registry.joined(n.Name, nodeAddress(n), n.Port, decodeMeta(n.Meta))
}

func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.registry.updated(n.Name, decodeMeta(n.Meta)) }

func (d *delegate) NotifyLeave(n *memberlist.Node) { d.registry.removed(n.Name) }

// AckPayload is empty: an acknowledgement needs no content.
func (d *delegate) AckPayload() []byte { return nil }

// NotifyPingComplete records an acknowledgement that came directly, over UDP.
func (d *delegate) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, _ []byte) {
	d.registry.acknowledged(n.Name, time.Now().Add(-rtt), rtt)
}

func nodeAddress(n *memberlist.Node) netip.Addr {
	ip, _ := netip.AddrFromSlice(n.Addr)
	return ip.Unmap()
}
