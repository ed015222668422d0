package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// ChannelDescriptors converts channel descriptors to gno's type. A nil descriptor stays nil.
func ChannelDescriptors(descs []*compat.ChannelDescriptor) []*p2p.ChannelDescriptor {
	gno := make([]*p2p.ChannelDescriptor, len(descs))
	for i, d := range descs {
		if d == nil {
			continue
		}
		c := p2p.ChannelDescriptor(*d)
		gno[i] = &c
	}

	return gno
}

// FromChannelDescriptors converts channel descriptors from gno's type. A nil descriptor
// stays nil.
func FromChannelDescriptors(descs []*p2p.ChannelDescriptor) []*compat.ChannelDescriptor {
	ours := make([]*compat.ChannelDescriptor, len(descs))
	for i, d := range descs {
		if d == nil {
			continue
		}
		c := compat.ChannelDescriptor(*d)
		ours[i] = &c
	}

	return ours
}
