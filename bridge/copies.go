package bridge

import (
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// ghostLife is after how long a target has noticed the end of any former session: over TCP 105 s
// (docs/sessions.md §7.3).
const ghostLife = 2 * time.Minute

// noteCopy looks at how a dial for a pair, or the pair itself, has failed. It says that another
// bridge uses a copy of this one's node key, if a target has a session under the identity of the
// node for which there can be no ghost: this bridge has run for longer than that, and has had no
// pair of the node meanwhile. Nobody else can have that identity.
func (b *Bridge) noteCopy(p *pair, err error) {
	if compat.ClassifyDial(err) != compat.DialDuplicate || !b.journal.ranFor(ghostLife) || b.journal.hadPair(p.id, ghostLife) {
		return
	}
	b.logger.Error("another bridge uses a copy of this bridge's node key: give each bridge a key of its own (tm2bridge init)",
		"node", p.id, "identity", p.dialed.self)
}
