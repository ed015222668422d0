package simulation

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/simulation/simnet"
)

const (
	// maxHosts is the most nodes of one simulation, including those that join later.
	maxHosts = 1 << 16

	// The range of the delay between a host and the core of the network. The latency of a
	// path is the sum of two.
	minDelay, maxDelay = 5 * time.Millisecond, 50 * time.Millisecond
)

// world is the network with its current nodes.
type world struct {
	c      Config
	random *rand.Rand // used by one goroutine only
	net    *simnet.Network
	hosts  int
	nodes  []*node // alive; the first is the seed

	leaving chan error
	left    int // nodes that are ending; each sends one value on leaving
}

func newWorld(c Config) *world {
	return &world{
		c: c, random: rand.New(rand.NewPCG(c.Seed, 0)), leaving: make(chan error, maxHosts),
		net: simnet.New(func(a, b netip.Addr) time.Duration { return delay(c.Seed, a) + delay(c.Seed, b) }),
	}
}

// delay returns a host's delay to the core, which depends on the seed and the IP only.
func delay(seed uint64, ip netip.Addr) time.Duration {
	b := ip.As4()
	r := rand.New(rand.NewPCG(seed, uint64(b[0])<<24|uint64(b[1])<<16|uint64(b[2])<<8|uint64(b[3])))

	return minDelay + time.Duration(r.Int64N(int64(maxDelay-minDelay)))
}

// join adds a libp2p node. The first node is the seed, which all others know.
func (w *world) join() error { return w.joinAs(Libp2p) }

// joinAs is join with a kind.
func (w *world) joinAs(kind Kind) error {
	w.hosts++
	// Public addresses, spread over as many networks as possible.
	ip := netip.AddrFrom4([4]byte{5, byte(w.hosts), byte(w.hosts >> 8), 1})
	host, err := w.net.AddHost(ip)
	if err != nil {
		return err
	}
	var material [ed25519.SeedSize]byte
	for i := range material {
		material[i] = byte(w.random.Uint32())
	}
	key := ed25519.NewKeyFromSeed(material[:])
	at := site{key: types.NodeKey{PrivKey: key}, host: host}
	at.addr = types.NetAddress{ID: at.key.ID(), IP: ip.AsSlice(), Port: port}
	if at.book, err = addrbook.Open("", at.addr); err != nil {
		return err
	}

	return w.start(at, kind)
}

// start starts a node, which may have run before.
func (w *world) start(at site, kind Kind) error {
	c := w.c
	var seed *types.NetAddress
	if len(w.nodes) > 0 {
		seed = &w.nodes[0].addr
	} else if c.SeedUptime > 0 {
		c.MaxInbound = 2 * uint64(c.Nodes)
	}
	n, err := start(c, at, kind, seed)
	if err != nil {
		return fmt.Errorf("unable to start the %s node at %s: %w", kind, at.addr.DialString(), err)
	}
	w.nodes = append(w.nodes, n)

	return nil
}

// leave removes a node, which ends in the background.
func (w *world) leave(n *node, end func() error) {
	w.nodes = slices.DeleteFunc(w.nodes, func(other *node) bool { return other == n })
	w.left++
	go func() { w.leaving <- end() }()
}

// close stops all nodes and waits until they have ended.
func (w *world) close() (err error) {
	for _, n := range slices.Clone(w.nodes) {
		w.leave(n, n.stop)
	}
	for ; w.left > 0; w.left-- {
		err = errors.Join(err, <-w.leaving)
	}

	return err
}

// change is a change of the network at an instant.
type change struct {
	at time.Duration
	do func() error
}

// instant returns a random instant within the window.
func (w *world) instant(window time.Duration) time.Duration {
	if window <= 0 {
		return 0
	}

	return time.Duration(w.random.Int64N(int64(window)))
}

// spread assigns each change a random instant within the window and returns them in that
// order.
func (w *world) spread(window time.Duration, changes []func() error) []change {
	list := make([]change, len(changes))
	for i, do := range changes {
		list[i] = change{at: w.instant(window), do: do}
	}
	slices.SortStableFunc(list, func(a, b change) int { return int(a.at - b.at) })

	return list
}
