package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// maxSweep is how many queries Neighbors sends: one for each bucket that a table of
	// some 64000 nodes fills. A node answers maxRequests on a stream.
	maxSweep = 16
	// sweepEnough is after how many answers in a row that bring nobody new it ends.
	sweepEnough = 2
	// maxNeighborAddrs is how many addresses of a neighbor are looked at.
	maxNeighborAddrs = 16
)

// ErrNoMember is wrapped by the error of Neighbors about a node that does not serve the DHT of
// the network: it is of another network, private, or behind a NAT, or does without a DHT.
var ErrNoMember = errors.New("the node does not serve the DHT of the network")

// Neighbor is a node that another one knows by the DHT.
type Neighbor struct {
	Peer peer.ID
	ID   types.ID
	// At are IPs and ports over TCP or QUIC, each once. There is none if the node was told
	// without an address, or with one behind a relay only.
	At []netip.AddrPort
}

// Neighbors asks a node for all that it tells of its routing table, for a program that looks
// at a network without taking part: FIND_NODE queries for keys at growing distances from the
// node, at most 16 on one stream, each with a time limit of 10 seconds. It returns at most
// some 300 neighbors, also those that were told before an error.
func Neighbors(ctx context.Context, q *lp2p.Inquiry, networkName string) ([]Neighbor, error) {
	prefix, err := protocolPrefix(networkName)
	if err != nil {
		return nil, err
	}
	s, err := q.Stream(ctx, prefix+protocolSuffix)
	switch {
	case errors.Is(err, stream.ErrUnsupported):
		return nil, ErrNoMember
	case err != nil:
		return nil, err
	}
	defer func() { _ = s.Reset() }() // all answers have been read, or do not matter
	defer context.AfterFunc(ctx, func() { _ = s.SetDeadline(stream.LongAgo) })()
	known := make(map[peer.ID]bool)
	var found []Neighbor
	for cpl, idle := uint(0), 0; cpl < maxSweep && idle < sweepEnough; cpl++ {
		told, err := askNeighbors(ctx, s, q.Peer(), cpl)
		if err != nil {
			return found, fmt.Errorf("query for neighbors: %w", err)
		}
		idle++
		for _, n := range told {
			if !known[n.Peer] {
				known[n.Peer], idle = true, 0
				found = append(found, n)
			}
		}
	}

	return found, nil
}

// askNeighbors sends one query for a key that has the first cpl bits in common with the node's.
func askNeighbors(ctx context.Context, s network.Stream, node peer.ID, cpl uint) ([]Neighbor, error) {
	key, err := kb.GenRandPeerIDWithCPL(kb.ConvertPeerID(node), cpl)
	if err != nil {
		return nil, err
	}
	if err := s.SetDeadline(time.Now().Add(queryTimeout)); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // the deadline above may have replaced the one of ctx
		return nil, err
	}
	resp, err := exchange(s, dhtpb.NewMessage(dhtpb.Message_FIND_NODE, []byte(key), 0))
	if err != nil {
		return nil, err
	}
	told := resp.GetCloserPeers()
	neighbors := make([]Neighbor, 0, min(len(told), maxResponsePeers))
	for _, info := range dhtpb.PBPeersToPeerInfos(told[:min(len(told), maxResponsePeers)]) {
		if id, err := p2paddr.TM2ID(info.ID); err == nil { // others are no TM2 nodes
			neighbors = append(neighbors, Neighbor{Peer: info.ID, ID: id, At: endpoints(info)})
		}
	}

	return neighbors, nil
}

func endpoints(info *peer.AddrInfo) (at []netip.AddrPort) {
	for _, a := range info.Addrs[:min(len(info.Addrs), maxNeighborAddrs)] {
		if to, ok := p2paddr.AddrPort(a); ok && !slices.Contains(at, to) {
			at = append(at, to)
		}
	}

	return at
}
