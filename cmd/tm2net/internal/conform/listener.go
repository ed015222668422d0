package conform

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Listener is where the node under test is to dial: one address and ID for each case, so that
// what the node thinks of the peer of one case does not touch another.
type Listener struct {
	at      netip.AddrPort // of the first address; port 0 takes free ones
	wait    time.Duration  // for the node to dial, for each case
	request func(addrs string)
}

// NewListener returns a listener. request is told ID@IP:port addresses, separated by commas,
// that the node has to dial now; it is called from several goroutines.
func NewListener(at netip.AddrPort, wait time.Duration, request func(addrs string)) *Listener {
	return &Listener{at: at, wait: wait, request: request}
}

// place is where the node dials for one case.
type place struct {
	listener *net.TCPListener
	key      ed25519.PrivateKey
	wait     time.Duration
	again    func() // asks for another dial
}

// reserve opens the places of n cases and asks the node to dial them.
func (l *Listener) reserve(n int) ([]*place, error) {
	if port := int(l.at.Port()); port != 0 && port+n-1 > math.MaxUint16 {
		return nil, fmt.Errorf("listen for the node: %d cases need as many ports, and there are not so many from %d on", n, port)
	}
	var places []*place
	var addrs []string
	for i := range n {
		at := l.at
		if at.Port() != 0 {
			at = netip.AddrPortFrom(at.Addr(), at.Port()+uint16(i))
		}
		listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen for the node: %w", err), closeAll(places))
		}
		key := types.GenerateNodeKey()
		addr := types.NetAddressString(key.ID(), listener.Addr().String())
		addrs = append(addrs, addr)
		places = append(places, &place{
			listener: listener, key: key.PrivKey, wait: l.wait, again: func() { l.request(addr) },
		})
	}
	l.request(strings.Join(addrs, ","))

	return places, nil
}

func closeAll(places []*place) error {
	var errs []error
	for _, p := range places {
		errs = append(errs, p.listener.Close())
	}

	return errors.Join(errs...)
}

// askPause is how often the node is asked to dial again.
const askPause = 5 * time.Second

// connect waits for the node to dial.
func (p *place) connect(ctx context.Context) (net.Conn, ed25519.PrivateKey, error) {
	defer context.AfterFunc(ctx, func() { _ = p.listener.SetDeadline(time.Unix(1, 0)) })() // fails only when it is closed
	for end := time.Now().Add(p.wait); ; p.again() {
		if err := p.listener.SetDeadline(time.Now().Add(min(askPause, time.Until(end)))); err != nil {
			return nil, nil, err
		}
		conn, err := p.listener.AcceptTCP()
		if err == nil {
			return conn, p.key, nil
		}
		if ctx.Err() != nil || !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(end) {
			return nil, nil, fmt.Errorf("the node has not dialed within %s: %w", p.wait, errors.Join(err, ctx.Err()))
		}
	}
}

// Place is where the node dials in the listening role, for a stack that accepts by itself, and the key
// whose ID it dials. Closing the listener ends Accept, and the next Place goes on with it.
func (t *Target) Place() (net.Listener, ed25519.PrivateKey, error) {
	return borrowed{t.place.listener}, t.place.key, t.place.listener.SetDeadline(time.Time{})
}

// borrowed is a listener whose owner closes it.
type borrowed struct{ *net.TCPListener }

// Accept implements net.Listener.
func (b borrowed) Accept() (net.Conn, error) {
	conn, err := b.TCPListener.Accept()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = net.ErrClosed
	}

	return conn, err
}

// Close implements net.Listener.
func (b borrowed) Close() error { return b.SetDeadline(time.Unix(1, 0)) }

// AwaitDial returns when arrived is closed, which tells that the node has dialed the Place. Until
// then the node is asked again.
func (t *Target) AwaitDial(ctx context.Context, arrived <-chan struct{}) error {
	again := time.NewTicker(askPause)
	defer again.Stop()
	end := time.NewTimer(t.place.wait)
	defer end.Stop()
	for {
		select {
		case <-arrived:
			t.dialer.life.answered(t.play)

			return nil
		case <-again.C:
			t.place.again()
		case <-end.C:
			return fmt.Errorf("the node has not dialed within %s", t.place.wait)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
