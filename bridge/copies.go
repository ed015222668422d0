package bridge

import (
	"log/slog"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// ghostLife is after how long a target has noticed the end of any former session: over TCP 105 s
// (docs/sessions.md §7.3).
const ghostLife = 2 * time.Minute

// noteCopy looks at how a dial of a target for a pair, or the pair itself, has failed. It says
// that another bridge uses a copy of this one's node key, if the target has a session under the
// identity of the node for which there can be no ghost: this bridge has run for longer than that,
// and has had no pair of the node meanwhile. Nobody else can have that identity. Only configured
// targets are believed: any libp2p node that dials the bridge becomes a target.
func (b *Bridge) noteCopy(p *pair, target types.ID, err error) {
	if compat.ClassifyDial(err) != compat.DialDuplicate || !b.journal.ranFor(ghostLife) || b.journal.hadPair(p.id, ghostLife) ||
		!slices.ContainsFunc(p.dialed.targets.peers(), func(addr *types.NetAddress) bool { return addr.ID == target }) {
		return
	}
	b.refused.Event(slog.LevelError, p.from.Addr(),
		"another bridge uses a copy of this bridge's node key: give each bridge a key of its own (tm2bridge init)", "copy",
		"node", p.id, "identity", p.dialed.self, "target", target)
}
