package stream

import (
	"fmt"
	"io"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// ReadNodeInfo reads the answer of /tm2/nodeinfo/1 (docs/sessions.md §10), at most
// types.MaxNodeInfoSize bytes. It checks only the encoding.
func ReadNodeInfo(r io.Reader) (info types.NodeInfo, err error) {
	body, err := wire.ReadSized(r, types.MaxNodeInfoSize)
	if err != nil {
		return info, fmt.Errorf("unable to receive the node info: %w", err)
	}
	if err := info.UnmarshalBinary(body); err != nil {
		return info, fmt.Errorf("unable to decode the node info: %w", err)
	}

	return info, nil
}
