package crawl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// The defaults of Options.
const (
	DefaultRate     = 4.0
	DefaultAtOnce   = 8
	DefaultTimeout  = 20 * time.Second
	DefaultMaxNodes = 10_000
)

// ErrNoSeed is returned if no seed has answered.
var ErrNoSeed = errors.New("no seed answers")

// Options says what to crawl, and how.
type Options struct {
	// Seeds are where the crawl begins: ID@host:port or host:port.
	Seeds []string
	// Network is the chain ID of the network. Nodes of other networks are told of, and are
	// not asked for others. If it is empty, it is that of the first node that tells one.
	Network string
	// QUIC has each libp2p node tried over QUIC too.
	QUIC bool
	// Rate is how many visits begin in a second, and AtOnce how many there are at a time.
	Rate   float64
	AtOnce int
	// Timeout bounds a visit.
	Timeout time.Duration
	// MaxNodes bounds the nodes that are told of, and the addresses that are visited.
	MaxNodes int
	// Memory is of former crawls, or nil.
	Memory *Memory
	// Progress is called from the goroutine of Run after each visit, unless it is nil.
	Progress func(Progress)
}

// Validate names the first option that cannot be used.
func (o Options) Validate() error {
	switch {
	case len(o.Seeds) == 0:
		return errors.New("no seed is given")
	case o.Rate <= 0:
		return fmt.Errorf("rate %v: it must be positive", o.Rate)
	case o.AtOnce <= 0:
		return fmt.Errorf("at-once %d: it must be positive", o.AtOnce)
	case o.Timeout <= 0:
		return fmt.Errorf("timeout %s: it must be positive", o.Timeout)
	case o.MaxNodes <= 0:
		return fmt.Errorf("max-nodes %d: it must be positive", o.MaxNodes)
	}
	for _, seed := range o.Seeds {
		if _, _, _, err := splitSeed(seed); err != nil {
			return fmt.Errorf("seeds: %w", err)
		}
	}

	return nil
}

// Progress tells how far a crawl is.
type Progress struct {
	Visited, Waiting, Active int // addresses
	Reachable, Heard         int // nodes
}

// crawl is one walk. All of it belongs to the goroutine of Run, which starts one for each
// visit and waits for them.
type crawl struct {
	Options
	network string
	targets *targets
	nodes   map[types.ID]*Node
	tellers map[types.ID]map[types.ID]bool // of each node, who told of it
	limiter *rate.Limiter
	visits  chan visit
	counts  Progress
	failed  error // of the last visit that found nobody
	cut     bool  // a limit has kept out a node or an address
}

// visit is what came of a target.
type visit struct {
	*target
	result *probe.Result
	err    error
}

// Run walks the network until nobody is left to visit or ctx ends, and returns what was found
// until then. The error says which option or seed cannot be used, or wraps ErrNoSeed: then
// there is a Report too if a seed was tried.
func Run(ctx context.Context, opts Options) (*Report, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	c := &crawl{
		Options: opts, network: opts.Network,
		targets: newTargets(opts.MaxNodes), nodes: make(map[types.ID]*Node), tellers: make(map[types.ID]map[types.ID]bool),
		limiter: rate.NewLimiter(rate.Limit(opts.Rate), 1), visits: make(chan visit, opts.AtOnce),
	}
	begin := time.Now()
	err := c.addSeeds(ctx)
	if err != nil && len(c.targets.waiting) == 0 {
		return nil, err
	}
	c.walk(ctx)
	report := c.report(begin, ctx.Err() == nil && !c.cut)
	if report.Reachable == 0 && ctx.Err() == nil {
		return report, errors.Join(fmt.Errorf("%w: %w", ErrNoSeed, c.failed), err)
	}

	return report, err
}

// walk visits targets until there are none, or ctx ends, and then until no visit is left.
func (c *crawl) walk(ctx context.Context) {
	for {
		for c.counts.Active < c.AtOnce && ctx.Err() == nil {
			t := c.targets.next(c.wants)
			if t == nil {
				break
			}
			if c.limiter.Wait(ctx) != nil {
				break // ctx ends before the turn of t
			}
			c.counts.Active++
			ask := probe.Options{QUIC: c.QUIC, Peers: true, Network: c.network}
			go func() {
				result, err := c.visit(ctx, ask, t)
				c.visits <- visit{t, result, err} // there is room for all
			}()
		}
		if c.counts.Active == 0 {
			return
		}
		v := <-c.visits
		c.counts.Active--
		c.targets.done(v.target)
		if ctx.Err() == nil || v.result != nil && v.result.ID != "" {
			c.take(v)
		}
		c.progress()
	}
}

func (c *crawl) visit(ctx context.Context, ask probe.Options, t *target) (*probe.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()

	return ask.Probe(ctx, t.at.String())
}

// wants reports whether a target is to be visited: a node that has answered elsewhere is not
// visited at its other addresses, unless somebody else may be there.
func (c *crawl) wants(t *target) bool {
	known := len(t.claims) > 0 && !t.crowded
	for _, id := range t.claims {
		n := c.nodes[id]
		known = known && n != nil && n.State == Reachable
	}
	if known || t.seed {
		return !known
	}
	if c.Memory.resting(t.at, time.Now()) {
		for _, id := range t.claims {
			c.node(id).failed(t.at, errors.New("it did not answer lately, so that it is not tried again yet"))
		}

		return false
	}

	return true
}

// take notes what a visit has found.
func (c *crawl) take(v visit) {
	c.counts.Visited++
	answered := v.result != nil && v.result.ID != ""
	c.Memory.note(v.at, answered, time.Now())
	if !answered {
		c.failed = v.err
		for _, id := range v.claims {
			c.node(id).failed(v.at, v.err)
		}

		return
	}
	for _, id := range v.claims {
		if id != v.result.ID {
			c.node(id).failed(v.at, fmt.Errorf("%s answers at its address", v.result.ID))
		}
	}
	n := c.node(v.result.ID)
	n.answered(v.result)
	if v.err != nil && n.Error == "" {
		n.Error = clip(v.err.Error(), maxError)
	}
	if c.network == "" && n.Bridge == "" { // a bridge may name none of a chain
		c.network = n.Network
	}
	if n.Network == c.network || n.Bridge != "" {
		c.learn(v.result)
	}
}

// learn notes what a node tells of others.
func (c *crawl) learn(r *probe.Result) {
	if r.Peers == nil {
		return
	}
	from, err := netip.ParseAddrPort(r.Address)
	if err != nil {
		return
	}
	for _, addr := range r.Peers.Exchanged {
		ip, _ := netip.AddrFromSlice(addr.IP)
		c.hear(r.ID, from.Addr(), addr.ID, "", netip.AddrPortFrom(ip.Unmap(), addr.Port))
	}
	for _, m := range r.Peers.Members {
		c.hear(r.ID, from.Addr(), m.ID, m.Peer.String(), m.At...)
	}
}

// hear notes that a node, which answered at an IP, tells of another one. Addresses that mean
// something else here than there are not believed.
func (c *crawl) hear(teller types.ID, from netip.Addr, id types.ID, peerID string, at ...netip.AddrPort) {
	if c.nodes[id] == nil && len(c.nodes) >= c.MaxNodes {
		c.cut = true

		return
	}
	n := c.node(id)
	n.PeerID = cmp.Or(n.PeerID, peerID)
	if !c.tellers[id][teller] {
		if c.tellers[id] == nil {
			c.tellers[id] = make(map[types.ID]bool)
		}
		c.tellers[id][teller] = true
		n.HeardFrom++
	}
	for _, to := range at {
		if to.Port() == 0 || !netgroup.MayTell(to.Addr(), from) {
			continue
		}
		n.addAddress(to.String(), false)
		c.cut = !c.targets.add(to, id, false) || c.cut
	}
}

// node returns the record of a node.
func (c *crawl) node(id types.ID) *Node {
	n := c.nodes[id]
	if n == nil {
		n = &Node{ID: id, State: Heard}
		c.nodes[id] = n
	}

	return n
}

// addSeeds looks up the seeds. The error joins those of seeds that cannot be used.
func (c *crawl) addSeeds(ctx context.Context) (failed error) {
	for _, seed := range c.Seeds {
		id, host, port, err := splitSeed(seed)
		if err != nil {
			return err // Validate has found none
		}
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("seed %s: %w", seed, err))

			continue
		}
		for _, ip := range ips {
			c.targets.add(netip.AddrPortFrom(ip.Unmap(), port), id, true)
		}
	}

	return failed
}

// splitSeed splits [ID@]host:port.
func splitSeed(seed string) (id types.ID, host string, port uint16, err error) {
	asked, hostPort, err := probe.ParseAddress(seed)
	if err != nil {
		return "", "", 0, err
	}
	host, text, err := net.SplitHostPort(hostPort)
	if err != nil {
		return "", "", 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)

	return asked, host, uint16(number), err
}

func (c *crawl) progress() {
	if c.Progress == nil {
		return
	}
	p := c.counts
	p.Waiting = len(c.targets.waiting)
	for _, n := range c.nodes {
		if n.State == Reachable {
			p.Reachable++
		} else {
			p.Heard++
		}
	}
	c.Options.Progress(p)
}
