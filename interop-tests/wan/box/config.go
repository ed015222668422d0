package box

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// ErrUnavailable reports that this machine does not allow namespaces or TUN devices.
var ErrUnavailable = errors.New("no network in a box on this machine")

const (
	// mtu is the largest packet, as on most paths of the internet.
	mtu = 1500
	// maxPlaces is how many places a box may have.
	maxPlaces = 64
)

// DefaultCongestion is the congestion control of TCP where a Config names none: Linux's
// default.
const DefaultCongestion = "cubic"

// TCPMemory names the limits of TCP's buffers in every namespace: least, initial and greatest
// bytes of a socket, as Linux sets them on machines with much memory.
const (
	TCPReceiveMemory = "4096 131072 6291456"
	TCPSendMemory    = "4096 16384 4194304"
)

// LateLimit is how late the router may be by Box.Late. A measurement during which it was later says
// nothing about the network that was asked for.
const LateLimit = 5 * time.Millisecond

// Config describes a network.
type Config struct {
	// Places is how many places there are, at most 64.
	Places int
	// Path returns the path from one place to another; nil means paths with nothing set.
	Path func(from, to int) Path
	// Uplink returns the uplink of a place; nil means unlimited ones.
	Uplink func(place int) Uplink
	// Congestion is the congestion control of TCP in every place; "" means DefaultCongestion.
	Congestion string
	// Seed determines which packets are lost, delayed and reordered.
	Seed uint64
}

// Even returns a Config.Path with the same path between any two places.
func Even(p Path) func(from, to int) Path { return func(int, int) Path { return p } }

// Everywhere returns a Config.Uplink with the same uplink for every place.
func Everywhere(u Uplink) func(place int) Uplink { return func(int) Uplink { return u } }

var congestionName = regexp.MustCompile(`^[a-z0-9_]+$`)

// Validate returns an error that names the first wrong field.
func (c Config) Validate() error {
	if c.Places < 1 {
		return errors.New("box: at least one place is needed")
	}
	if c.Places > maxPlaces {
		return fmt.Errorf("box: at most %d places are possible, not %d", maxPlaces, c.Places)
	}
	c = c.withDefaults()
	if !congestionName.MatchString(c.Congestion) {
		return fmt.Errorf("box: %q is no name of a congestion control", c.Congestion)
	}
	for from := range c.Places {
		if err := c.Uplink(from).Validate(); err != nil {
			return fmt.Errorf("box: place %d: %w", from, err)
		}
		for to := range c.Places {
			if err := c.Path(from, to).Validate(); err != nil {
				return fmt.Errorf("box: place %d to %d: %w", from, to, err)
			}
		}
	}

	return nil
}

func (c Config) withDefaults() Config {
	if c.Path == nil {
		c.Path = Even(Path{})
	}
	if c.Uplink == nil {
		c.Uplink = Everywhere(Uplink{})
	}
	if c.Congestion == "" {
		c.Congestion = DefaultCongestion
	}

	return c
}
