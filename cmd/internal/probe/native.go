package probe

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

const (
	// nodeInfoWait is the least time that a probe waits for the NodeInfo of an
	// authenticated remote. Nodes send it at once.
	nodeInfoWait = time.Second
	// secondStackWait bounds the probe of a node's second stack. A node without it refuses it
	// at once.
	secondStackWait = 10 * time.Second
)

// askNative authenticates the remote over conn, reads its NodeInfo and closes conn. It
// sends no NodeInfo, so the remote does not add it as a peer, unless it is to ask for others.
func (p *prober) askNative(ctx context.Context, conn *sniff.PeekedConn, r *Result) (err error) {
	defer func() {
		if closeErr := conn.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("%s: unable to close the connection: %w", p.hostPort, closeErr)
		}
	}()
	defer interruptAt(ctx, conn)()

	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return fmt.Errorf("unable to make a key for the probe: %w", err)
	}
	begin := time.Now()
	secret, err := secretconn.MakeSecretConnection(conn, key)
	if err != nil {
		return fmt.Errorf("%s: native handshake failed: %w", p.hostPort, ended(ctx, err))
	}
	r.HandshakeTime = time.Since(begin)
	r.Stacks, r.Dialect = append(r.Stacks, StackNative), string(compat.DialectC)
	if secret.Dialect() == secretconn.DialectTyped {
		r.Dialect = "A or B" // the NodeInfo will tell which
	}
	peerID, err := lp2p.PeerIDFromPublicKey(secret.RemotePubKey())
	if err != nil {
		return fmt.Errorf("%s: unable to compute the libp2p peer ID: %w", p.hostPort, err)
	}
	r.PeerID = peerID.String()
	if err := p.verify(r, types.IDFromPublicKey(secret.RemotePubKey())); err != nil {
		return err
	}

	if err := p.readNodeInfo(ctx, secret, r); err != nil || !p.asksPeersOf(r) {
		return err
	}
	p.exchangePeers(ctx, secret, types.IDFromPublicKey(key.Public().(ed25519.PublicKey)), r)

	return nil
}

// readNodeInfo reads the NodeInfo of the authenticated remote. It is no error when none
// arrives: a bridge sends none before it has received the dialer's.
func (p *prober) readNodeInfo(ctx context.Context, secret *secretconn.SecretConnection, r *Result) error {
	wait := max(cmp.Or(p.nodeInfoWait, nodeInfoWait), waitTrips*p.connectTime)
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	if err := secret.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return fmt.Errorf("%s: %w", p.hostPort, err)
	}
	body, err := wire.ReadSized(secret, types.MaxNodeInfoSize)
	var undecodable *wire.DecodeError
	if errors.As(err, &undecodable) || errors.Is(err, wire.ErrTooLarge) {
		return fmt.Errorf("%s: %s sent a malformed NodeInfo: %w", p.hostPort, r.ID, err)
	}
	if err != nil {
		r.Withheld = errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil
		r.Notes = append(r.Notes, fmt.Sprintf("no NodeInfo: the node sends none before it has received ours, as a bridge does (%v)", err))
		return nil
	}
	info, err := decodeNodeInfo(body, secret, r)
	if err != nil {
		return fmt.Errorf("%s: %s sent a malformed NodeInfo: %w", p.hostPort, r.ID, err)
	}
	r.NodeInfo = &info
	if err := info.Validate(); err != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("the NodeInfo is not valid: %v", err))
	} else if info.ID() != r.ID {
		r.Notes = append(r.Notes, fmt.Sprintf("the NodeInfo names another node, %s", info.ID()))
	}

	return nil
}

// decodeNodeInfo decodes a NodeInfo. In a typed dialect it sets r.Dialect, since the
// form of the NodeInfo tells A from B (docs/wire.md §1.2).
func decodeNodeInfo(body []byte, secret *secretconn.SecretConnection, r *Result) (info types.NodeInfo, err error) {
	err = info.UnmarshalBinary(body)
	if secret.Dialect() == secretconn.DialectPlain {
		return info, err
	}
	if errors.Is(err, types.ErrBareNodeID) {
		r.Dialect = string(compat.DialectA)
		err = info.UnmarshalDialectA(body, secret.RemoteAddr())

		return info, err
	}
	r.Dialect = string(compat.DialectB)

	return info, err
}

// askForNative probes whether a node that speaks libp2p also speaks the native protocol
// at the same port.
func (p *prober) askForNative(ctx context.Context, r *Result) {
	wait := secondStackWait
	if p.Peers {
		wait += maxAsks * answerWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()

	second := &Result{Address: r.Address}
	conn, _, err := dial(ctx, p.hostPort)
	if err == nil {
		err = p.askNative(ctx, conn, second)
	}
	switch {
	case second.ID == r.ID && second.ID != "":
		r.Stacks, r.Dialect, r.Withheld = slices.Concat(r.Stacks, second.Stacks), second.Dialect, second.Withheld
		r.add(second)
	case second.ID != "":
		r.Notes = append(r.Notes, fmt.Sprintf("over the native protocol another node answers, %s", second.ID))
	case second.Dialect != "":
		r.Stacks, r.Dialect = slices.Concat(r.Stacks, second.Stacks), second.Dialect
		r.Notes = append(r.Notes, err.Error())
	}
}

// ended puts the context's error before err, which it caused.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}

	return err
}
