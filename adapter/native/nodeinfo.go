package native

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

// exchange sends our NodeInfo and reads the remote's, within the timeout. trip is
// how long the secret connection took: a NodeInfo that was sent at once comes a round
// trip later, so the pause after which we speak first grows with it.
func (mt *MultiplexTransport) exchange(p *Pending, trip time.Duration) error {
	if err := p.conn.SetDeadline(time.Now().Add(mt.timeout)); err != nil {
		return err
	}
	pause := min(secretconn.DialectPause+trip, mt.timeout/2)
	local := mt.localNodeInfo()
	if mt.relay {
		return p.exchangeForRelay(local, pause)
	}

	var err error
	if p.conn.Dialect() == secretconn.DialectTyped {
		err = p.exchangeInKind(local, pause)
	} else if err = p.sendNodeInfo(local, compat.DialectC); err == nil { // all with a plain key speak C
		err = p.receiveNodeInfo()
	}
	if err != nil {
		return err
	}
	if err := local.CompatibleWith(p.node); err != nil {
		return err
	}

	return p.conn.SetDeadline(time.Time{})
}

// exchangeInKind holds our NodeInfo back until the remote's shows whether it
// speaks A or B (docs/wire.md §1.2).
func (p *Pending) exchangeInKind(local types.NodeInfo, pause time.Duration) error {
	spoke, err := p.listenFirst(local, pause)
	if err != nil || spoke {
		return err
	}

	return p.sendNodeInfo(local, p.dialect)
}

// exchangeForRelay only reads: Complete answers when it is known on whose behalf. A
// remote that waits as well is told the NodeInfo that the relay showed last, if any.
func (p *Pending) exchangeForRelay(last types.NodeInfo, pause time.Duration) error {
	if last.NetAddress == nil {
		return p.receiveNodeInfo()
	}
	spoke, err := p.listenFirst(last, pause)
	if spoke {
		p.shown = &last
	}

	return err
}

// listenFirst reads the NodeInfo of the remote. It tells a remote that sends nothing
// for the pause ours, in the form of B and C: of the dialects with a typed key, networks
// used B for longer than A.
func (p *Pending) listenFirst(local types.NodeInfo, pause time.Duration) (spoke bool, err error) {
	speak := func() error { return p.sendNodeInfo(local, compat.DialectB) }
	spoke, err = p.conn.SpeakAfter(pause, speak, p.receiveNodeInfo)
	if err == nil && spoke && p.dialect == compat.DialectA {
		err = fmt.Errorf("%w: it speaks A, and our node info was already sent in B", secretconn.ErrDialect)
	}

	return spoke, err
}

// sendNodeInfo sends our NodeInfo in the dialect.
func (p *Pending) sendNodeInfo(local types.NodeInfo, dialect compat.Dialect) error {
	p.promised = local.Channels
	body, err := encodeNodeInfo(local, dialect)
	if err != nil {
		return fmt.Errorf("unable to encode own node info: %w", err)
	}
	if _, err := p.conn.Write(wire.AppendSized(nil, body)); err != nil {
		return fmt.Errorf("unable to send own node info: %w", err)
	}

	return nil
}

func encodeNodeInfo(info types.NodeInfo, dialect compat.Dialect) ([]byte, error) {
	if dialect == compat.DialectA {
		return info.AppendDialectA(nil)
	}

	return info.MarshalBinary()
}

// receiveNodeInfo reads the NodeInfo of the remote and checks all that does not
// depend on ours.
func (p *Pending) receiveNodeInfo() error {
	body, err := wire.ReadSized(p.conn, types.MaxNodeInfoSize)
	if err != nil {
		return fmt.Errorf("unable to receive node info: %w", err)
	}
	if err := p.decodeNodeInfo(body); err != nil {
		return fmt.Errorf("unable to decode node info: %w", err)
	}
	if err := p.node.Validate(); err != nil {
		return fmt.Errorf("node info is not valid: %w", err)
	}
	if have, want := p.node.ID(), p.socket.ID; have != want {
		return fmt.Errorf("%w: it names %s, authenticated as %s", errOtherNodeInfo, have, want)
	}

	return nil
}

// decodeNodeInfo also recognises the dialect: a bare ID behind a typed key is A.
func (p *Pending) decodeNodeInfo(body []byte) error {
	if p.conn.Dialect() == secretconn.DialectPlain {
		p.dialect = compat.DialectC

		return p.node.UnmarshalBinary(body)
	}

	p.dialect = compat.DialectB
	err := p.node.UnmarshalBinary(body)
	if !errors.Is(err, types.ErrBareNodeID) {
		return err
	}
	p.dialect = compat.DialectA

	return p.node.UnmarshalDialectA(body, p.dialableAddr())
}

// dialableAddr is the address of a remote whose NodeInfo has none: the one that we
// have dialed. An inbound connection does not show where the remote listens, so its
// address is the unspecified one, which is never told to others.
func (p *Pending) dialableAddr() net.Addr {
	if p.outbound {
		return p.conn.RemoteAddr()
	}

	return &net.TCPAddr{IP: net.IPv4zero}
}
