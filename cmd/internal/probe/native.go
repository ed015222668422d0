package probe

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
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
	// nodeInfoWait is the least time that an authenticated remote has to send
	// its NodeInfo; nodes send it at once.
	nodeInfoWait = time.Second
	// secondStackWait bounds the look for the native stack at a node that has
	// answered by libp2p.
	secondStackWait = 3 * time.Second
)

// askNative authenticates the remote over conn and reads its NodeInfo. It sends
// none, so that the remote does not take it for a peer. It closes conn.
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
		r.Dialect = "A or B" // NodeInfo tells which
	}
	peerID, err := lp2p.PeerIDFromPublicKey(secret.RemotePubKey())
	if err != nil {
		return fmt.Errorf("%s: unable to compute the libp2p peer ID: %w", p.hostPort, err)
	}
	r.PeerID = peerID.String()
	if err := p.verify(r, types.IDFromPublicKey(secret.RemotePubKey())); err != nil {
		return err
	}

	return p.readNodeInfo(ctx, secret, r)
}

// readNodeInfo waits a moment for the NodeInfo of the authenticated remote. A
// relay shows none before it has seen that of the dialer.
func (p *prober) readNodeInfo(ctx context.Context, secret *secretconn.SecretConnection, r *Result) error {
	wait := max(nodeInfoWait, silenceTrips*p.connectTime)
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
		r.Notes = append(r.Notes, fmt.Sprintf("no NodeInfo: the node sends none before it has seen ours, as a bridge does (%v)", err))
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

// decodeNodeInfo also tells the dialects A and B apart (docs/wire.md §1.2).
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

// askForNative notes whether a node that has answered by libp2p speaks the
// native protocol at the same port.
func (p *prober) askForNative(ctx context.Context, r *Result) {
	ctx, cancel := context.WithTimeout(ctx, secondStackWait)
	defer cancel()

	second := &Result{Address: r.Address}
	conn, _, err := dial(ctx, p.hostPort)
	if err == nil {
		err = p.askNative(ctx, conn, second)
	}
	switch {
	case second.ID == r.ID && second.ID != "":
		r.Stacks, r.Dialect = slices.Concat(r.Stacks, second.Stacks), second.Dialect
	case second.ID != "":
		r.Notes = append(r.Notes, fmt.Sprintf("over the native protocol another node answers, %s", second.ID))
	case second.Dialect != "":
		r.Stacks, r.Dialect = slices.Concat(r.Stacks, second.Stacks), second.Dialect
		r.Notes = append(r.Notes, err.Error())
	}
}

// ended prefers the end of the context to the error that it caused.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", ctx.Err(), err)
	}

	return err
}
