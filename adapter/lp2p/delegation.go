package lp2p

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protowire"
)

// delegationDomain keeps a delegation from being mistaken for any other message
// that a node key signs. It is hashed as it is, the final zero byte included.
const delegationDomain = "tm2-libp2p/session/delegation/1\x00"

// Why a delegated identity is refused.
var (
	errDelegationToSelf    = errors.New("delegated identity is that of the connection")
	errDelegationOfOurs    = errors.New("delegated identity is that of this node")
	errDelegationLowOrder  = errors.New("delegated identity is a key of low order")
	errDelegationSignature = errors.New("signature of the delegated identity is not valid")
)

// epoch names one session; its dialer chooses it at random.
type epoch [16]byte

func newEpoch() epoch {
	var e epoch
	rand.Read(e[:]) // never fails, as its documentation promises

	return e
}

func (e epoch) String() string { return hex.EncodeToString(e[:]) }

// delegation proves that the holder of key lets the dialer of one session speak
// for it (docs/sessions.md §6).
type delegation struct {
	key       [ed25519.PublicKeySize]byte
	signature [ed25519.SignatureSize]byte
}

// delegationBytes returns what the delegated key signs.
func delegationBytes(e epoch, dialer, listener peer.ID) []byte {
	b := make([]byte, 0, len(delegationDomain)+len(e)+len(dialer)+len(listener)+8)
	b = append(b, delegationDomain...)
	b = protowire.AppendBytes(b, e[:])
	b = protowire.AppendBytes(b, []byte(dialer))

	return protowire.AppendBytes(b, []byte(listener))
}

func signDelegation(key ed25519.PrivateKey, e epoch, dialer, listener peer.ID) *delegation {
	d := new(delegation)
	copy(d.key[:], key[ed25519.SeedSize:])
	copy(d.signature[:], ed25519.Sign(key, delegationBytes(e, dialer, listener)))

	return d
}

// verify returns the delegated key, or why the listener refuses it.
func (d *delegation) verify(e epoch, dialer, listener peer.ID) (ed25519.PublicKey, error) {
	key := ed25519.PublicKey(d.key[:])
	// A key of low order has signatures that anybody can make.
	if lowOrder(key) {
		return nil, errDelegationLowOrder
	}

	id, err := PeerIDFromPublicKey(key)
	if err != nil {
		return nil, err
	}

	switch id {
	case dialer:
		return nil, errDelegationToSelf
	case listener:
		return nil, errDelegationOfOurs
	}

	if !ed25519.Verify(key, delegationBytes(e, dialer, listener), d.signature[:]) {
		return nil, errDelegationSignature
	}

	return key, nil
}
