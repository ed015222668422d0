package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

const (
	// Moniker is the name under which a probe shows itself to a node that it asks for peers.
	Moniker = "tm2net"

	// maxAsks is how often a node is asked whose answers are full: an answer is a random
	// choice of 30. A node of this project answers three times in a row.
	maxAsks = 3
	// answerWait is how long an answer may take. A node that knows nobody sends none.
	answerWait = 2 * time.Second
	// fullAnswer is how many addresses an answer has at most (docs/wire.md §6).
	fullAnswer = 30
	// maxAnswer bounds a message of peer exchange, in bytes: 30 addresses need 2718.
	maxAnswer = 8 << 10
	// maxPackets is how many packets are read while an answer is waited for. The probe
	// announces one channel, so an honest node sends a few.
	maxPackets = 1000
)

// Peers is what a node tells of others.
type Peers struct {
	// Exchanged are the nodes that it told by peer exchange.
	Exchanged []types.NetAddress
	// Members are the nodes that it told by the DHT.
	Members []discovery.Neighbor
	// ServesDHT tells that the node answers in the DHT of its network.
	ServesDHT bool
	// Refused says why the node did not take the probe as a peer, or why it did not finish
	// its answer.
	Refused []error
}

// with returns what the node told over both stacks.
func (p *Peers) with(other *Peers) *Peers {
	if p == nil || other == nil {
		if p == nil {
			return other
		}

		return p
	}
	p.Exchanged = append(p.Exchanged, other.Exchanged...)
	p.Members = append(p.Members, other.Members...)
	p.Refused = append(p.Refused, other.Refused...)
	p.ServesDHT = p.ServesDHT || other.ServesDHT

	return p
}

// askDHT asks a libp2p node for those that it knows by the DHT of its network.
func (r *Result) askDHT(ctx context.Context, q *lp2p.Inquiry) {
	r.Peers = &Peers{}
	members, err := discovery.Neighbors(ctx, q, r.NodeInfo.Network)
	r.Peers.Members = members
	switch {
	case err == nil:
		r.Peers.ServesDHT = true
	case !errors.Is(err, discovery.ErrNoMember):
		r.Peers.Refused = append(r.Peers.Refused, ended(ctx, err))
	}
}

// exchangePeers becomes a peer of the native node that has just sent its NodeInfo, with the
// channel of peer exchange only, and asks it for others.
func (p *prober) exchangePeers(ctx context.Context, secret *secretconn.SecretConnection, own types.ID, r *Result) {
	r.Peers = &Peers{}
	if !slices.Contains(r.NodeInfo.Channels, pex.Channel) {
		return
	}
	err := p.becomePeer(secret, own, r)
	if err == nil {
		r.Peers.Exchanged, err = collect(func() ([]types.NetAddress, error) { return askOnce(ctx, secret) })
	}
	if err != nil {
		r.Peers.Refused = append(r.Peers.Refused, ended(ctx, fmt.Errorf("peer exchange: %w", err)))
	}
}

// collect asks until an answer is not full, and returns all addresses, each once.
func collect(ask func() ([]types.NetAddress, error)) (all []types.NetAddress, err error) {
	for range maxAsks {
		told, err := ask()
		if errors.Is(err, errNoAnswer) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		for _, addr := range told {
			if !slices.ContainsFunc(all, func(a types.NetAddress) bool { return a.Equals(addr) }) {
				all = append(all, addr)
			}
		}
		if len(told) < fullAnswer {
			break
		}
	}

	return all, nil
}

// ownNodeInfo fits that of a node: it is of its network and versions, and has an address that
// says that nobody can dial it.
func ownNodeInfo(theirs *types.NodeInfo, own types.ID) types.NodeInfo {
	return types.NodeInfo{
		VersionSet: theirs.VersionSet, NetAddress: &types.NetAddress{ID: own, IP: net.IPv4zero},
		Network: theirs.Network, Version: theirs.Version, Channels: []byte{pex.Channel}, Moniker: Moniker,
	}
}

// becomePeer sends a NodeInfo that fits the node's.
func (p *prober) becomePeer(secret *secretconn.SecretConnection, own types.ID, r *Result) error {
	info := ownNodeInfo(r.NodeInfo, own)
	body, err := info.MarshalBinary()
	if r.Dialect == string(compat.DialectA) {
		body, err = info.AppendDialectA(nil)
	}
	if err != nil {
		return err
	}
	_, err = secret.Write(wire.AppendSized(nil, body))

	return err
}

// askOnce sends a request and returns the answer.
func askOnce(ctx context.Context, secret *secretconn.SecretConnection) ([]types.NetAddress, error) {
	if err := secret.SetReadDeadline(time.Now().Add(answerWait)); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // the deadline may have replaced that of ctx
		return nil, err
	}
	if _, err := secret.Write(wire.AppendMsg(nil, pex.Channel, true, wire.AppendRequest(nil))); err != nil {
		return nil, err
	}
	var message []byte
	for range maxPackets {
		body, err := wire.ReadSized(secret, wire.MaxPacketSize(maxAnswer))
		if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			return nil, errNoAnswer
		}
		if err != nil {
			return nil, err
		}
		packet, err := wire.DecodePacket(body)
		if err != nil {
			return nil, err
		}
		switch {
		case packet.Kind == wire.PacketPing:
			if _, err := secret.Write(wire.AppendPong(nil)); err != nil {
				return nil, err
			}
		case packet.Kind == wire.PacketMsg && packet.Channel == pex.Channel:
			if message = append(message, packet.Payload...); len(message) > maxAnswer {
				return nil, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
			}
			if !packet.EOF {
				continue
			}
			told, request, err := wire.DecodeDiscovery(message)
			if err != nil {
				return nil, err
			}
			if message = nil; !request { // nodes ask their new peers too
				return parseAll(told)
			}
		}
	}

	return nil, fmt.Errorf("%d packets came before an answer", maxPackets)
}

// parseAll takes all addresses of an answer or none, as TM2 does.
func parseAll(told []string) ([]types.NetAddress, error) {
	addrs := make([]types.NetAddress, 0, len(told))
	for _, text := range told {
		addr, err := types.ParseNetAddress(text)
		if err == nil {
			err = addr.Validate()
		}
		if err != nil {
			return nil, fmt.Errorf("told address: %w", err)
		}
		addr.ID = addr.ID.Canonical()
		addrs = append(addrs, *addr)
	}

	return addrs, nil
}
