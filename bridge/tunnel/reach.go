package tunnel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dialnames"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// maxNames bounds the host names that are looked up for one request of a target.
const maxNames = 16

// reaches returns the native node to which the targets may open tunnels at the address, or nil.
// The address is one of Config.Reach, as it stands there or by its host name, or an IP and port to
// which such a host name leads now: the targets look up names themselves, perhaps later than the
// bridge has. The error is that of the look-ups, if none led there.
func (s *Server) reaches(ctx context.Context, address string) (*types.NetAddress, error) {
	if s.config.Reach == nil {
		return nil, nil
	}
	nodes := slices.Clone(s.config.Reach())
	i := slices.IndexFunc(nodes, func(a *types.NetAddress) bool {
		return a.DialString() == address || a.Hostname != "" && net.JoinHostPort(a.Hostname, strconv.Itoa(int(a.Port))) == address
	})
	if i >= 0 {
		return nodes[i], nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, nil // a host name that is no node's
	}
	nodes = slices.DeleteFunc(nodes, func(a *types.NetAddress) bool { return a.Hostname == "" || a.Port != at.Port() })

	return lookUp(ctx, nodes[:min(len(nodes), maxNames)], at.Addr().Unmap())
}

// lookUp returns the first of the nodes whose host name leads to the IP, or nil and the errors. It
// takes at most half of the time that the context leaves.
func lookUp(ctx context.Context, nodes []*types.NetAddress, ip netip.Addr) (*types.NetAddress, error) {
	leads, errs := make([]bool, len(nodes)), make([]error, len(nodes))
	var group sync.WaitGroup
	for i, node := range nodes {
		group.Go(func() {
			addrs, err := dialnames.Resolve(ctx, *node)
			errs[i] = err
			leads[i] = slices.ContainsFunc(addrs, func(a types.NetAddress) bool { return netgroup.FromIP(a.IP) == ip })
		})
	}
	group.Wait()
	if i := slices.Index(leads, true); i >= 0 {
		return nodes[i], nil
	}

	return nil, errors.Join(errs...)
}
