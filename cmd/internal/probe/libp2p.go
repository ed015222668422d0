package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
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
	if err := p.inquire(ctx, peerID, at, r); err != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("no NodeInfo: %v", ended(ctx, err)))
	}
	if p.QUIC {
		return p.tryQUIC(ctx, peerID, at, r)
	}

	return nil
}

// inquire asks for the NodeInfo, and for other nodes if the probe is to do so.
func (p *prober) inquire(ctx context.Context, peerID peer.ID, at netip.AddrPort, r *Result) (err error) {
	q, err := lp2p.Inquire(ctx, peerID, at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	info, err := q.NodeInfo(ctx)
	if err != nil {
		return err
	}
	r.NodeInfo = &info
	if p.asksPeersOf(r) {
		r.askDHT(ctx, q)
	}

	return nil
}

// tryQUIC connects over QUIC. UDP does not tell that a port is closed, so a node that does
// not answer within the time of a dial counts as one without QUIC.
func (p *prober) tryQUIC(ctx context.Context, peerID peer.ID, at netip.AddrPort, r *Result) error {
	q, err := lp2p.Inquire(ctx, peerID, at, lp2p.WithQUICOnly())
	if ctx.Err() != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("QUIC was not tried to the end: %v", ctx.Err()))

		return nil
	}
	answers := err == nil
	r.QUIC = &answers
	if answers {
		return q.Close()
	}

	return nil
}

// askForLibp2p probes whether a node that speaks the native protocol also speaks libp2p at the
// same port. A node that does not ends the connection.
func (p *prober) askForLibp2p(ctx context.Context, r *Result) {
	ctx, cancel := context.WithTimeout(ctx, secondStackWait)
	defer cancel()
	second := &Result{Address: r.Address}
	err := p.askLibp2p(ctx, second)
	if err != nil && (second.ID == r.ID || !errors.Is(err, lp2p.ErrNotLibp2p)) {
		r.Notes = append(r.Notes, err.Error())
	}
	switch {
	case second.ID == r.ID && second.ID != "":
		r.Stacks, r.QUIC = slices.Concat(second.Stacks, r.Stacks), second.QUIC
		r.Notes = append(r.Notes, second.Notes...)
		r.add(second)
	case second.ID != "":
		r.Notes = append(r.Notes, fmt.Sprintf("over libp2p another node answers, %s", second.ID))
	}
}

// add takes what the node has told over its other stack.
func (r *Result) add(second *Result) {
	r.NodeInfo = cmp.Or(r.NodeInfo, second.NodeInfo)
	r.Peers = r.Peers.with(second.Peers)
}
