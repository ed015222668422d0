package lp2p

import (
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/access"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// inner is the transport as package discovery sees it (see access.Transport, which
// documents the methods).
type inner struct{ *Transport }

func init() {
	access.Of = func(t compat.Transport) access.Transport {
		return inner{t.(*Transport)} // nothing else reaches package discovery
	}
}
