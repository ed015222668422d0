package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/nativecases"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/sessioncases"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// probeTimeout bounds the look at a node before it is tested.
const probeTimeout = 15 * time.Second

// target finds out who answers at the address and which suites fit.
func (f *conformFlags) target(ctx context.Context, address string) (*conform.Target, []conform.Suite, error) {
	found, err := f.probe(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	at, err := netip.ParseAddrPort(found.Address)
	if err != nil {
		return nil, nil, err
	}
	t := conform.NewTarget(at, found.ID, conform.TargetOptions{Rate: f.rate, Patience: f.patience})
	if t.Info, err = f.info(found); err != nil {
		return nil, nil, err
	}
	if err := t.CheckInfo(); err != nil {
		return nil, nil, err
	}
	if f.channel != "" {
		t.Channel, t.Capacity, t.HasChannel = f.channelID, f.capacity, true
	}
	t.PeerID, t.Bridge = found.PeerID, f.network != ""
	t.MaxInbound, t.OnePerIP, t.QUIC = f.maxInbound, f.onePerIP, f.quic
	var suites []conform.Suite
	if slices.Contains(found.Stacks, probe.StackNative) {
		suites = append(suites, nativecases.Suite())
		if err := nativecases.Prepare(ctx, t); err != nil {
			return nil, nil, err
		}
	}

	if slices.Contains(found.Stacks, probe.StackLibp2p) {
		nativecases.SetChannel(t)
		suites = append(suites, sessioncases.Suite())
		if err := sessioncases.Prepare(ctx, t); err != nil {
			return nil, nil, err
		}
	}

	return t, suites, nil
}

// probe looks at the node. It resolves the address itself, so that nobody is contacted who may
// not be tested.
func (f *conformFlags) probe(ctx context.Context, address string) (*probe.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	id, hostPort, found := strings.Cut(address, "@")
	if !found {
		id, hostPort = "", address
	} else {
		id += "@"
	}
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, fmt.Errorf("address %q: it must be ID@host:port or host:port", address)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for _, ip := range ips {
		if err := conform.CheckAddr(ip.Unmap()); err != nil && !f.operate {
			return nil, fmt.Errorf("%s: %w; if the node is yours, say --i-operate-this-node", address, err)
		}
	}
	var errs []error
	for _, ip := range ips {
		r, err := probe.Probe(ctx, id+net.JoinHostPort(ip.Unmap().String(), port))
		if err == nil {
			return r, nil
		}
		errs = append(errs, err)
	}

	return nil, errors.Join(errs...)
}

// info is the NodeInfo of the node, or one as real nodes have if the network is named.
func (f *conformFlags) info(found *probe.Result) (wire.NodeInfo, error) {
	if found.NodeInfo == nil && f.network == "" {
		return wire.NodeInfo{}, errors.New("the node shows no NodeInfo: name its network with --network")
	}
	if f.network == "" {
		if err := found.NodeInfo.Validate(); err != nil {
			return wire.NodeInfo{}, fmt.Errorf("%w: its NodeInfo is not valid: %w", conform.ErrNotJudged, err)
		}
		body, err := found.NodeInfo.MarshalBinary()
		if err != nil {
			return wire.NodeInfo{}, err
		}

		return wire.DecodeNodeInfo(body)
	}
	const rc = "v1.0.0-rc.0"

	return wire.NodeInfo{
		VersionSet: []wire.VersionInfo{
			{Name: "abci", Version: rc}, {Name: "app", Version: "dev"}, {Name: "bft", Version: rc},
			{Name: "blockchain", Version: rc}, {Name: "p2p", Version: rc},
		},
		Network: f.network, Version: rc, Channels: []byte{0x40, 0x20, 0x21, 0x22, 0x23, 0x30, 0x50},
	}, nil
}
