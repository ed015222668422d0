package config

import (
	"strconv"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// tunnels parses a list of ID=port. Native peers dial the ports at the IP of the native listener.
// The bridge dials a node at its address among the peers, if it is one of them; otherwise the
// node has to keep a connection to the bridge.
func tunnels(list string, listen types.NetAddress, peers []*types.NetAddress) ([]tunnel.Target, error) {
	var targets []tunnel.Target
	seen := make(map[string]bool)
	for _, entry := range tomlvalue.SplitList(list) {
		text, portText, _ := strings.Cut(entry, "=")
		id, err := types.ParseID(text)
		if err != nil {
			return nil, tomlvalue.Wrong(keyTunnels, entry, err.Error())
		}
		port, err := strconv.ParseUint(portText, 10, 16)
		if err != nil || port == 0 {
			return nil, tomlvalue.Wrong(keyTunnels, entry, "it is not of the form ID=port")
		}
		if portText = strconv.FormatUint(port, 10); seen[id.String()] || seen[portText] {
			return nil, tomlvalue.Wrong(keyTunnels, entry, "another entry has the same ID or port")
		}
		seen[id.String()], seen[portText] = true, true
		t := tunnel.Target{Node: types.NetAddress{ID: id}, Listen: listen}
		t.Listen.Port = uint16(port)
		for _, p := range peers {
			if p.ID.Canonical() == id {
				t.Node = *p
			}
		}
		targets = append(targets, t)
	}

	return targets, nil
}
