package conform

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// ErrNotJudged says that no cases can be made of what a node tells of itself.
var ErrNotJudged = errors.New("the node cannot be judged")

const (
	// maxChannels is how many channels a NodeInfo has at most (docs/wire.md §4.3).
	maxChannels = 16

	// infoRoom is how much smaller than its limit a NodeInfo like the node's has to be, in bytes. Cases change
	// it by less than half of that, and fill it up to the limit by a name of 128 bytes or more, whose length
	// takes two bytes.
	infoRoom = 256
)

// CheckInfo returns an error that wraps ErrNotJudged unless the cases can be made of the target's NodeInfo.
// Whoever sets one that a node has chosen checks it by this, and by types.NodeInfo.Validate.
func (t *Target) CheckInfo() error {
	shown := wire.AppendSized(nil, wire.AppendNodeInfo(nil, t.InfoAs(t.ID)))
	switch room := types.MaxNodeInfoSize - len(shown); {
	case t.Info.Network == "":
		return fmt.Errorf("%w: its NodeInfo names no network", ErrNotJudged)
	case len(t.Info.Channels) == 0:
		return fmt.Errorf("%w: its NodeInfo has no channel", ErrNotJudged)
	case len(t.Info.Channels) > maxChannels:
		return fmt.Errorf("%w: its NodeInfo has %d channels, at most %d are valid", ErrNotJudged, len(t.Info.Channels), maxChannels)
	case room < infoRoom:
		return fmt.Errorf("%w: a NodeInfo like its own has %d bytes, which leaves %d, and cases need %d",
			ErrNotJudged, len(shown), max(0, room), infoRoom)
	default:
		return nil
	}
}

// InfoAs is a well-formed NodeInfo for the target, of a node with the ID. The address is one for
// documentation, so that the target has nobody to dial there.
func (t *Target) InfoAs(id types.ID) *wire.NodeInfo {
	return &wire.NodeInfo{
		VersionSet: slices.Clone(t.Info.VersionSet), NetAddress: id.String() + "@192.0.2.1:26656", Network: t.Info.Network,
		Version: t.Info.Version, Channels: slices.Clone(t.Info.Channels), Moniker: "conform", TxIndex: "off",
	}
}

// UnknownChannel is a channel that the target, whose NodeInfo was checked, does not list.
func (t *Target) UnknownChannel() byte { return t.FreeChannels(0x7f, 1)[0] }

// FreeChannels returns n channels that the target does not list, or all of these: the first ones from the
// given one on, and then from 0.
func (t *Target) FreeChannels(from byte, n int) (free []byte) {
	for i := 0; i <= 0xff && len(free) < n; i++ {
		if ch := from + byte(i); !slices.Contains(t.Info.Channels, ch) {
			free = append(free, ch)
		}
	}

	return free
}
