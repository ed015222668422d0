package addrbook

import "github.com/tm2-libp2p/tm2-libp2p/compat/types"

// Forget drops every address of the peer, also configured ones. What names the peer later
// brings it back.
func (b *Book) Forget(id types.ID) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	if len(b.entries[id]) > 0 {
		delete(b.entries, id)
		b.unsaved.changed = true
	}
}
