package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/gnolang/gno/tm2/pkg/service"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/validator"
)

// gnoPatience is how long gno's transport may take to end. It waits for handshakes, which
// have two steps of 3 s each.
const gnoPatience = time.Minute

// Gno is gno's own switch on its own transport. It is the reference for the others.
func Gno() Stack {
	return Stack{Name: "gno", Speaks: SpeaksNative, New: newGno}
}

func newGno(s Setup) (validator.Switch, error) {
	tr := p2p.NewMultiplexTransport(s.Self.Info, *s.Self.Key, conn.MConfigFromP2P(s.P2P), s.Logger)
	if err := tr.Listen(*s.Self.Info.NetAddress); err != nil {
		return nil, err
	}

	return newGnoSwitch(s, tr, func() error { return closeGno(tr) })
}

// newGnoSwitch returns gno's switch on a listening transport.
func newGnoSwitch(s Setup, tr p2p.Transport, closeTransport func() error) (validator.Switch, error) {
	peers, errs := p2ptypes.NewNetAddressFromStrings(splitList(s.P2P.PersistentPeers))
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(fmt.Errorf("persistent peers: %w", err), closeTransport())
	}
	opts := []p2p.SwitchOption{
		p2p.WithPersistentPeers(peers),
		p2p.WithAllowDuplicateIP(s.P2P.AllowDuplicateIP),
		p2p.WithMaxInboundPeers(s.P2P.MaxNumInboundPeers),
		p2p.WithMaxOutboundPeers(s.P2P.MaxNumOutboundPeers),
	}
	for name, r := range s.Reactors {
		opts = append(opts, p2p.WithReactor(name, r))
	}
	sw := p2p.NewMultiplexSwitch(tr, opts...)
	sw.SetLogger(s.Logger)

	return &gnoSwitch{MultiplexSwitch: sw, closeTransport: closeTransport}, nil
}

// gnoSwitch is gno's switch with a Close that also closes the transport.
type gnoSwitch struct {
	*p2p.MultiplexSwitch

	closeTransport func() error
}

// Close implements validator.Switch.
func (s *gnoSwitch) Close() error {
	err := s.Stop()
	if errors.Is(err, service.ErrNotStarted) {
		err = nil
	}

	return errors.Join(err, s.closeTransport())
}

// closeGno closes gno's transport and its unaccepted peers, and waits until its accept loop
// has ended.
func closeGno(tr *p2p.MultiplexTransport) error {
	if err := tr.Close(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), gnoPatience)
	defer cancel()
	for {
		peer, err := dropin.FromTransport(tr).Accept(ctx, noReactors{})
		if errors.Is(err, compat.ErrTransportClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := peer.CloseConn(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
}

// noReactors is a PeerBehavior without reactors.
type noReactors struct{}

func (noReactors) ReactorChDescriptors() []*compat.ChannelDescriptor { return nil }

func (noReactors) Reactors() map[byte]compat.Reactor { return nil }

func (noReactors) HandlePeerError(compat.PeerConn, error) {}

func (noReactors) IsPersistentPeer(types.ID) bool { return false }

func (noReactors) IsPrivatePeer(types.ID) bool { return false }
