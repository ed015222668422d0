package discovery

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// What a Discovery does unless it is told otherwise.
const (
	// DefaultWalkInterval is the least time between two random walks of a node that
	// has outbound slots open.
	DefaultWalkInterval = 2 * time.Second
	// DefaultRefreshInterval is how often the routing table is refreshed.
	DefaultRefreshInterval = 10 * time.Minute
	// DefaultMaxOutboundPeers is the outbound limit of a TM2 switch, for one that does
	// not tell its own.
	DefaultMaxOutboundPeers = 10
)

// Mode says what part a node takes in the DHT.
type Mode uint8

const (
	// ModeAuto makes a node a server if it announces addresses when discovery starts,
	// else a client. If the host finds out whether it can be reached (AutoNAT), a
	// server that cannot becomes a client, and one again when it can.
	ModeAuto Mode = iota
	// ModeClient asks and does not answer: no other node keeps it in a routing table or
	// tells others about it.
	ModeClient
	// ModeServer asks and answers.
	ModeServer
)

// Option configures a Discovery in New, which reports one that cannot be used by an
// error that wraps compat.ErrInvalidOption.
type Option func(*options)

type options struct {
	err              error // what New returns
	client           Client
	bootstrap        []types.NetAddress
	private          []types.ID
	privateAddresses *bool // nil: as the own listen address
	mode             Mode
	allowDuplicateIP bool
	registerer       prometheus.Registerer // nil: no metrics
	maxOutbound      *uint64               // nil: as the switch tells
	walkInterval     time.Duration
	refreshInterval  time.Duration
}

// WithClient has the Discovery find peers for a program without a switch, which starts
// and stops it. It replaces SetSwitch.
func WithClient(c Client) Option {
	return func(o *options) { o.client = c }
}

// WithBootstrapPeers sets the nodes through which the DHT is entered, while its
// routing table is empty and at each refresh: the seeds and persistent peers of the
// node, as plain TM2 addresses. Host names are looked up each time. Nil addresses
// and those without ID are ignored.
func WithBootstrapPeers(addrs []*types.NetAddress) Option {
	return func(o *options) {
		for _, addr := range addrs {
			if addr != nil && addr.ID != "" {
				own := *addr
				own.ID = own.ID.Canonical() // in another form it would be nobody's
				o.bootstrap = append(o.bootstrap, own)
			}
		}
	}
}

// WithPrivatePeers names peers that are told to nobody, connected or remembered. Peers
// that the switch of the transport calls private need not be named. It is for a switch
// that accepts from several transports.
func WithPrivatePeers(ids []types.ID) Option {
	return func(o *options) {
		for _, id := range ids {
			o.private = append(o.private, id.Canonical())
		}
	}
}

// WithPrivateAddresses says whether loopback addresses and those of private
// networks are believed and told. Without it they are if the node announces such an
// address, or announces none and listens at such addresses only; one that listens at
// 0.0.0.0 listens at those of its network interfaces. They are believed only when a node
// tells them that is connected from an address of the same kind.
func WithPrivateAddresses(allow bool) Option {
	return func(o *options) { o.privateAddresses = &allow }
}

// WithAllowDuplicateIP lets any number of peers of one IP into the routing table,
// and be hinted to the switch: what allow_duplicate_ip says, as for a network of which
// many nodes share a public IP. Without it there are at most 3 of an IPv4 address or
// IPv6 /64. Loopback and private networks are not bounded by a node that believes
// their addresses (WithPrivateAddresses).
func WithAllowDuplicateIP(allow bool) Option {
	return func(o *options) { o.allowDuplicateIP = allow }
}

// WithMode sets the part that the node takes; it is ModeAuto otherwise.
func WithMode(mode Mode) Option {
	return func(o *options) {
		if o.mode = mode; mode > ModeServer {
			o.report(fmt.Errorf("unknown mode %d", mode))
		}
	}
}

// WithMaxOutboundPeers sets up to how many outbound peers of the switch others are
// looked for. Without it that is the switch's own limit, if the switch tells that by
// a method OutboundSlots, as adapter.MultiplexSwitch does; with it the lower of both.
func WithMaxOutboundPeers(n uint64) Option {
	return func(o *options) { o.maxOutbound = &n }
}

// WithRegisterer has Prometheus collect the Stats while discovery runs, as
// tm2_dht_..., with the node's ID in the label "node". It may be the registerer of the
// transport. Start fails if another discovery of the same node uses it.
func WithRegisterer(r prometheus.Registerer) Option {
	return func(o *options) {
		if o.registerer = r; r == nil {
			o.report(errors.New("registerer is nil"))
		}
	}
}

// WithWalkInterval replaces DefaultWalkInterval. It must be positive.
func WithWalkInterval(d time.Duration) Option {
	return func(o *options) { o.walkInterval = d }
}

// WithRefreshInterval replaces DefaultRefreshInterval. It must be positive.
func WithRefreshInterval(d time.Duration) Option {
	return func(o *options) { o.refreshInterval = d }
}

func (o *options) report(err error) { o.err = errors.Join(o.err, err) }

func newOptions(opts []Option) (*options, error) {
	o := &options{walkInterval: DefaultWalkInterval, refreshInterval: DefaultRefreshInterval}
	for _, opt := range opts {
		opt(o)
	}
	if o.walkInterval <= 0 || o.refreshInterval <= 0 {
		o.report(errors.New("interval is not positive"))
	}
	if o.err != nil {
		return nil, fmt.Errorf("%w: %w", compat.ErrInvalidOption, o.err)
	}

	return o, nil
}

// maxNetworkName bounds the escaped name of a network, in bytes. libp2p takes
// protocol IDs of some hundred bytes; a chain ID has some ten.
const maxNetworkName = 128

// protocolSuffix follows the prefix of the network in the protocol ID.
const protocolSuffix = "/kad/1.0.0"

// errNoNetwork is returned for a node that does not say which network it is in.
var errNoNetwork = errors.New("node info names no network")

// CheckNetwork returns why there can be no DHT of a network with this name: it is empty, or
// longer than 128 bytes when it is escaped.
func CheckNetwork(name string) error {
	_, err := protocolPrefix(name)

	return err
}

// protocolPrefix returns the prefix of the network's DHT protocols. The name is
// escaped as a segment of a URL path (RFC 3986 §2.1), so that no two names share a
// prefix, and none reaches into the path of another protocol.
func protocolPrefix(network string) (protocol.ID, error) {
	if network == "" {
		return "", errNoNetwork
	}
	name := url.PathEscape(network)
	if len(name) > maxNetworkName {
		return "", fmt.Errorf("name of the network has %d bytes when escaped, more than %d bytes", len(name), maxNetworkName)
	}

	return protocol.ID("/tm2/" + name), nil
}
