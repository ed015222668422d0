package probe

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// askLibp2p authenticates the remote over new libp2p connections and asks for its
// NodeInfo.
func (p *prober) askLibp2p(ctx context.Context, r *Result) error {
	begin := time.Now()
	peerID, err := lp2p.ProbeIdentity(ctx, p.hostPort)
	if err != nil {
		return fmt.Errorf("%s: libp2p handshake failed: %w", p.hostPort, ended(ctx, err))
	}
	r.HandshakeTime, r.PeerID = time.Since(begin), peerID.String()
	r.Stacks = append(r.Stacks, StackLibp2p)
	id, err := lp2p.TM2ID(peerID)
	if err != nil {
		return fmt.Errorf("%s: libp2p peer %s has no TM2 ID: %w", p.hostPort, peerID, err)
	}
	if err := p.verify(r, id); err != nil {
		return err
	}

	at, err := netip.ParseAddrPort(p.hostPort)
	if err != nil {
		return fmt.Errorf("%s: %w", p.hostPort, err)
	}
	addr := types.NetAddress{ID: id, IP: at.Addr().AsSlice(), Port: at.Port()}
	info, err := lp2p.FetchNodeInfo(ctx, addr)
	if err != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("no NodeInfo: %v", ended(ctx, err)))
		return nil
	}
	r.NodeInfo = &info

	return nil
}
