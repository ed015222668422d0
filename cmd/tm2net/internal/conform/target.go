package conform

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// Target is the node that is judged.
type Target struct {
	Addr netip.AddrPort
	ID   types.ID
	// PeerID is the libp2p peer ID of the same key.
	PeerID string
	Role   Role
	// Info is the NodeInfo of the node; cases show it one like it.
	Info wire.NodeInfo
	// Channel is one whose reactor ignores messages that it does not know, with its receive
	// capacity in bytes; HasChannel is false when the node has none.
	Channel    byte
	Capacity   int
	HasChannel bool
	// Answers reports that the node answers a discovery request on Channel.
	Answers bool
	// OneConn reports that the node lets in one peer of an IP, so that cases that need two
	// cannot be played.
	OneConn bool
	// MaxInbound is how many inbound peers the node lets in (max_num_inbound_peers), 0 if that is not
	// known. OnePerIP reports that it is to let in one of an IP (allow_duplicate_ip).
	MaxInbound int
	OnePerIP   bool
	// QUIC reports that sessions are played over QUIC.
	QUIC bool
	// Bridge reports that the node is a bridge, which shows others the nodes of its other side.
	Bridge bool
	// Patience is how long each wait for the node takes at most, unless a case says otherwise.
	Patience time.Duration

	dialer *dialer
	place  *place // where the node dials, in the listening role
	play   *play  // the case for which the target is used, if any
}

// TargetOptions are how a target is reached.
type TargetOptions struct {
	// Rate is how many connections are opened a second, at most MaxRate.
	Rate     int
	Patience time.Duration
}

const (
	// MaxRate bounds the rate of connections.
	MaxRate = 200
	// MaxInbound bounds the inbound limit of a node that is filled.
	MaxInbound = 256
)

// NewTarget returns a target in the dialing role. Its NodeInfo and channel are set by the caller.
func NewTarget(addr netip.AddrPort, id types.ID, o TargetOptions) *Target {
	return &Target{
		Addr: addr, ID: id, Role: Dialing, Patience: o.Patience,
		dialer: newDialer(addr, min(max(1, o.Rate), MaxRate)),
	}
}

// Connect returns a fresh connection in the role of the target, and the key that belongs to it.
// In the listening role it is the next one of the node, which dials the ID of that key.
func (t *Target) Connect(ctx context.Context) (net.Conn, ed25519.PrivateKey, error) {
	if t.place != nil {
		conn, key, err := t.place.connect(ctx)
		if err == nil {
			t.dialer.life.answered(t.play)
		}

		return conn, key, err
	}
	conn, err := t.Dial(ctx)
	if err != nil {
		return nil, nil, err
	}

	return conn, types.GenerateNodeKey().PrivKey, nil
}

// Dial connects to the node, whatever the role.
func (t *Target) Dial(ctx context.Context) (net.Conn, error) { return t.dialer.dial(ctx, t.play) }

// Reach connects to the node otherwise than by TCP, at the rate of the other connections. UDP does
// not tell that nobody is there, so if it fails the node is looked at over TCP.
func (t *Target) Reach(ctx context.Context, connect func(context.Context) error) error {
	if err := t.dialer.pace.wait(ctx); err != nil {
		return err
	}
	begun := time.Now()
	err := connect(ctx)
	if err == nil {
		t.dialer.life.connected(begun, t.play)

		return nil
	}
	conn, e := t.Dial(ctx)
	if e == nil {
		e = conn.Close()
	}

	return errors.Join(err, e)
}

// during returns the target for a case that is played.
func (t *Target) during(p *play) *Target {
	c := *t
	c.play = p

	return &c
}

// at returns the target for a case that is played at the place.
func (t *Target) at(p *place) *Target {
	c := *t
	c.place = p

	return &c
}

// ErrForbidden says that an address is not one that may be tested without further words.
var ErrForbidden = errors.New("it is outside loopback and private networks")

// CheckAddr returns an error unless the address is on this machine or in a private network.
func CheckAddr(addr netip.Addr) error {
	switch kind := netgroup.KindOf(addr); kind {
	case netgroup.Loopback, netgroup.Private, netgroup.LinkLocal, netgroup.Shared:
		return nil
	default:
		return fmt.Errorf("%s: %w", addr, ErrForbidden)
	}
}

// dialer opens connections at a bounded rate, and from many IPs where the node is on loopback:
// many nodes let in one peer of an IP.
type dialer struct {
	addr    netip.AddrPort
	pace    *pacer
	next    atomic.Uint32
	life    *life
	connect func(context.Context) (net.Conn, error) // open, but in tests
}

const connectTimeout = 10 * time.Second

func newDialer(addr netip.AddrPort, rate int) *dialer {
	d := &dialer{addr: addr, pace: newPacer(rate), life: &life{}}
	d.connect = d.open

	return d
}

func (d *dialer) open(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	nd := net.Dialer{LocalAddr: d.source()}

	return nd.DialContext(ctx, "tcp", d.addr.String())
}

// source is a loopback IP of its own for each connection, or nil. Linux has all of 127.0.0.0/8;
// elsewhere, and for other addresses, the system chooses.
func (d *dialer) source() net.Addr {
	if !manyLoopbacks || !d.addr.Addr().Is4() || !d.addr.Addr().IsLoopback() {
		return nil
	}
	n := d.next.Add(1)

	return &net.TCPAddr{IP: net.IPv4(127, 1+byte(n>>16%200), byte(n>>8), 1+byte(n%254))}
}

// pacer spaces events.
type pacer struct {
	slots chan struct{}
	gap   time.Duration
}

func newPacer(perSecond int) *pacer {
	p := &pacer{slots: make(chan struct{}, 1), gap: time.Second / time.Duration(perSecond)}
	p.slots <- struct{}{}

	return p
}

// wait returns when the next event may happen.
func (p *pacer) wait(ctx context.Context) error {
	select {
	case <-p.slots:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { p.slots <- struct{}{} }()

	return Pause(ctx, p.gap)
}
