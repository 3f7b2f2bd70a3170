package gossip

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// Meta is what a member tells of itself.
type Meta struct {
	Region  string `json:"r,omitempty"`
	Version string `json:"v,omitempty"`
}

// metaMax bounds what a member may tell of itself, in bytes: a region's name and a version, and room for what later
// versions add.
const metaMax = 320

// encodeMeta writes it, or nothing where it would not fit.
func encodeMeta(m Meta) []byte {
	data, err := json.Marshal(m)
	if err != nil || len(data) > metaMax {
		return nil
	}
	return data
}

// decodeMeta reads what a member tells, as far as it is understood.
func decodeMeta(data []byte) (m Meta) {
	if len(data) > metaMax || json.Unmarshal(data, &m) != nil {
		return Meta{}
	}
	return m
}

// delegate is how memberlist speaks to the registry. It calls from goroutines of its own while it holds its lock, so
// that nothing here may wait or call back.
type delegate struct {
	registry *registry
	meta     []byte
}

// NodeMeta is what this member tells of itself.
func (d *delegate) NodeMeta(int) []byte { return d.meta }

// NotifyMsg accepts who is about to leave. memberlist itself does not tell those who leave from those who die.
func (d *delegate) NotifyMsg(word []byte) {
	if name, ok := bytes.CutPrefix(word, []byte(goodbye)); ok {
		d.registry.goodbye(string(name))
	}
}

// goodbye goes before the name of a host whose agent is stopped.
const goodbye = "bye "

// GetBroadcasts, LocalState and MergeRemoteState are for words of an application's own: we have no others, and
// believe none.
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d *delegate) LocalState(bool) []byte          { return nil }
func (d *delegate) MergeRemoteState([]byte, bool)   {}

// NotifyAlive decides who may be a member: hosts of the catalog, at their addresses, so that nobody can point the
// mesh at others.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	if len(n.Meta) > metaMax {
		return fmt.Errorf("it tells %d bytes of itself", len(n.Meta))
	}
	return d.registry.admit(n.Name, nodeAddress(n))
}

// NotifyJoin, NotifyUpdate and NotifyLeave tell who comes and goes; who died has not said that it leaves.
func (d *delegate) NotifyJoin(n *memberlist.Node) {
	d.registry.joined(n.Name, nodeAddress(n), n.Port, decodeMeta(n.Meta))
}

func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.registry.updated(n.Name, decodeMeta(n.Meta)) }

func (d *delegate) NotifyLeave(n *memberlist.Node) { d.registry.gone(n.Name) }

// AckPayload is empty: an acknowledgement says enough.
func (d *delegate) AckPayload() []byte { return nil }

// NotifyPingComplete tells of an acknowledgement that came directly, over UDP.
func (d *delegate) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, _ []byte) {
	d.registry.acknowledged(n.Name, time.Now().Add(-rtt), rtt)
}

func nodeAddress(n *memberlist.Node) netip.Addr {
	ip, _ := netip.AddrFromSlice(n.Addr)
	return ip.Unmap()
}
