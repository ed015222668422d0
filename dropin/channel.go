package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// ChannelDescriptors converts channel descriptors to gno's type. A nil descriptor stays nil.
func ChannelDescriptors(descs []*compat.ChannelDescriptor) []*p2p.ChannelDescriptor {
	return convert(descs, func(d *compat.ChannelDescriptor) *p2p.ChannelDescriptor {
		if d == nil {
			return nil
		}

		return new(p2p.ChannelDescriptor(*d))
	})
}

// FromChannelDescriptors converts channel descriptors from gno's type. A nil descriptor
// stays nil.
func FromChannelDescriptors(descs []*p2p.ChannelDescriptor) []*compat.ChannelDescriptor {
	return convert(descs, func(d *p2p.ChannelDescriptor) *compat.ChannelDescriptor {
		if d == nil {
			return nil
		}

		return new(compat.ChannelDescriptor(*d))
	})
}
