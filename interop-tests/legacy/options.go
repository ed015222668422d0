package legacy

import (
	"encoding/hex"
	"strings"
	"time"
)

// Options holds the version and the command line of a legacy peer. The zero value is a peer
// of the newest version with a random key on a free loopback port.
type Options struct {
	Version          string // of gno; V1_7_1 when empty
	Listen           string // IP:port; 127.0.0.1:0 when empty
	Network          string // "interop" when empty
	Moniker          string // "gnopeer" when empty
	Seed             []byte // 32 bytes; nil for a random key
	Channels         []byte // 0x20 0x21 0x22 0x30 0x40 when nil
	Persistent       []string
	AllowDuplicateIP bool // V1_1_0 always allows it
	Discovery        bool
	DiscoveryPeriod  time.Duration // 3 s when 0
	AddressBook      string        // a file that discovery starts from; V1_1_0 has no address book
	PingInterval     time.Duration // 60 s when 0
	PongTimeout      time.Duration // 45 s when 0; must be below PingInterval
	LogLevel         string        // "INFO" when empty
	// Program is a program with the command line of the peers that runs in place of a release,
	// with Flags in addition.
	Program string
	Flags   []string
	// Env is added to the environment of the process.
	Env []string
}

func (o Options) args() []string {
	var args []string
	add := func(name, value string) {
		if value != "" {
			args = append(args, "-"+name+"="+value)
		}
	}
	add("listen", o.Listen)
	add("network", o.Network)
	add("moniker", o.Moniker)
	add("seed", hex.EncodeToString(o.Seed))
	add("channels", hex.EncodeToString(o.Channels))
	add("dial", strings.Join(o.Persistent, ","))
	add("log-level", o.LogLevel)
	add("address-book", o.AddressBook)
	if o.AllowDuplicateIP {
		add("allow-duplicate-ip", "true")
	}
	if o.Discovery {
		add("discovery", "true")
	}
	for name, d := range map[string]time.Duration{
		"discovery-period": o.DiscoveryPeriod,
		"ping-interval":    o.PingInterval,
		"pong-timeout":     o.PongTimeout,
	} {
		if d != 0 {
			add(name, d.String())
		}
	}

	return append(args, o.Flags...)
}
