package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"

	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// bridgeRole is the role of a child that runs a bridge.
const bridgeRole = "bridge"

// bridgeReady is the line with which the child reports that nodes can dial it. All other
// lines are its log.
const bridgeReady = "ready"

// BridgeSpec configures a bridge.
type BridgeSpec struct {
	// Native and Libp2p are the listen addresses of both sides, IP:port.
	Native, Libp2p string
	// NativePeers and Libp2pPeers are the configured nodes, ID@IP:port.
	NativePeers, Libp2pPeers []string
	// Channels are relayed; nil means those of a TM2 node.
	Channels []*compat.ChannelDescriptor
	// Rate limits each native connection, both ways, in bytes per second; 0 means the default.
	Rate int64

	// Key is set by NewBridgeOf.
	Key []byte
}

// Bridge is a bridge in a child process. It keeps its key and addresses when it restarts.
type Bridge struct {
	logger  *slog.Logger
	spec    BridgeSpec
	id      types.ID
	process *child.Process
}

// NewBridge returns a bridge between the current members that speak TM2's protocol and
// those that speak libp2p. It does not start the bridge.
func (n *Network) NewBridge() (*Bridge, error) {
	b := NewBridgeOf(BridgeSpec{}, n.config.Logger)
	for _, side := range []*string{&b.spec.Native, &b.spec.Libp2p} {
		addr, err := freeAddress(p2ptypes.ID(b.id))
		if err != nil {
			return nil, err
		}
		*side = addr.DialString()
	}
	for _, m := range n.members {
		if m.stack.Speaks == SpeaksNative {
			b.spec.NativePeers = append(b.spec.NativePeers, m.Address.String())
		} else {
			b.spec.Libp2pPeers = append(b.spec.Libp2pPeers, m.Address.String())
		}
	}

	return b, nil
}

// NewBridgeOf returns a bridge with a new key. It does not start the bridge.
func NewBridgeOf(spec BridgeSpec, logger *slog.Logger) *Bridge {
	key := types.GenerateNodeKey()
	spec.Key = key.PrivKey

	return &Bridge{logger: logger.With("node", "bridge"), spec: spec, id: key.ID()}
}

// AddressFor returns the address, ID@IP:port, at which nodes that speak the protocol dial
// the bridge.
func (b *Bridge) AddressFor(p Protocol) string {
	if p == SpeaksNative {
		return types.NetAddressString(b.id, b.spec.Native)
	}

	return types.NetAddressString(b.id, b.spec.Libp2p)
}

// Start starts the bridge and waits until it can be dialed.
func (b *Bridge) Start() error {
	ready := make(chan struct{})
	process, err := child.Start(bridgeRole, b.spec, func(line string) {
		if line == bridgeReady {
			close(ready)
		} else {
			b.logger.Info(line)
		}
	})
	if err != nil {
		return err
	}
	b.process = process
	select {
	case <-ready:
		return nil
	case <-process.Ended():
		return errors.Join(errors.New("bridge has ended"), b.Stop())
	}
}

// Stop stops the bridge and waits for its process.
func (b *Bridge) Stop() error { return b.process.Stop() }

// Signal sends the process a signal.
func (b *Bridge) Signal(s os.Signal) error { return b.process.Signal(s) }

// Kill ends the bridge at once.
func (b *Bridge) Kill() error { return b.process.Kill() }

// runBridge is the main function of the child.
func runBridge(ctx context.Context, specification json.RawMessage, say func(string)) error {
	var spec BridgeSpec
	if err := json.Unmarshal(specification, &spec); err != nil {
		return err
	}
	b, err := startBridge(spec, slog.New(slog.NewTextHandler(sayWriter(say), nil)))
	if err != nil {
		return err
	}
	say(bridgeReady)
	<-ctx.Done()

	return b.Stop()
}

// sayWriter passes each line of a log to the parent.
type sayWriter func(string)

// Write implements io.Writer.
func (say sayWriter) Write(p []byte) (int, error) {
	say(strings.TrimSuffix(string(p), "\n"))

	return len(p), nil
}

func startBridge(spec BridgeSpec, logger *slog.Logger) (*bridge.Bridge, error) {
	native, err := listenAddress(spec.Native)
	if err != nil {
		return nil, err
	}
	libp2p, err := listenAddress(spec.Libp2p)
	if err != nil {
		return nil, err
	}
	nativePeers, nativeErrs := types.NewNetAddressFromStrings(spec.NativePeers)
	libp2pPeers, libp2pErrs := types.NewNetAddressFromStrings(spec.Libp2pPeers)
	if err := errors.Join(append(nativeErrs, libp2pErrs...)...); err != nil {
		return nil, err
	}
	config := bridge.Config{
		NativeListen: native, Libp2pListen: libp2p, NativePeers: nativePeers, Libp2pPeers: libp2pPeers,
		AllowDuplicateIP: true, Channels: spec.Channels,
	}
	if spec.Rate > 0 {
		config.MConfig = mconn.DefaultMConnConfig()
		config.MConfig.SendRate, config.MConfig.RecvRate = spec.Rate, spec.Rate
	}
	b, err := bridge.New(types.NodeKey{PrivKey: spec.Key}, config, logger)
	if err != nil {
		return nil, err
	}

	return b, b.Start()
}

func listenAddress(hostPort string) (types.NetAddress, error) {
	addr, err := net.ResolveTCPAddr("tcp", hostPort)
	if err != nil {
		return types.NetAddress{}, err
	}

	return *types.NewNetAddressFromIPPort(addr.IP, uint16(addr.Port)), nil
}
