package discovery

import "github.com/tm2-libp2p/tm2-libp2p/compat"

// dialAnchors has the outbound peers dialed that lasted before the restart. They are dialed
// before the DHT can be asked, so that an attacker who fills the DHT does not get all
// connections of the node.
func (d *Discovery) dialAnchors() {
	for _, e := range d.t.AddrBook().Entries() {
		if e.Anchor {
			d.client.DialPeers(&e.Addr)
		}
	}
}

// rememberAnchors notes in the address book which outbound peers have lasted until now.
func (d *Discovery) rememberAnchors() {
	if sw, ok := d.Switch.(compat.AnchorSource); ok {
		d.t.AddrBook().SetAnchors(sw.Anchors()...)
	}
}
