package program

import (
	"encoding/hex"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Config is the command line. It is the same for every release.
type Config struct {
	Listen           string // IP:port; port 0 takes a free one
	Network          string
	Moniker          string
	Seed             []byte // of the node key, 32 bytes; nil for a random one
	Channels         []byte // of the reactor
	Persistent       []string
	AllowDuplicateIP bool // no effect in releases that always allow it
	Discovery        bool // run gno's reactor on channel 0x50
	DiscoveryPeriod  time.Duration
	AddressBook      string        // a file from which gno's reactor starts; empty for none
	PingInterval     time.Duration // must be above PongTimeout
	PongTimeout      time.Duration
	LogLevel         slog.Level
}

func parseFlags(args []string, more []func(*flag.FlagSet)) (Config, error) {
	var c Config
	fs := flag.NewFlagSet("gnopeer", flag.ContinueOnError)
	fs.StringVar(&c.Listen, "listen", "127.0.0.1:0", "`IP:port` to listen at; port 0 takes a free one")
	fs.StringVar(&c.Network, "network", "interop", "network (chain) id")
	fs.StringVar(&c.Moniker, "moniker", "gnopeer", "moniker")
	fs.Func("seed", "node key seed, 32 bytes in `hex`; random when absent", func(s string) (err error) {
		if c.Seed, err = hex.DecodeString(s); err == nil && len(c.Seed) != 32 {
			err = fmt.Errorf("%d bytes, want 32", len(c.Seed))
		}

		return err
	})
	fs.Func("channels", "channels of the reactor in `hex`, as 2021 for 0x20 and 0x21 (default 2021223040)", func(s string) (err error) {
		c.Channels, err = hex.DecodeString(s)

		return err
	})
	fs.Func("dial", "persistent peers, `ID@IP:port` separated by commas; may be repeated", func(s string) error {
		c.Persistent = append(c.Persistent, strings.Split(s, ",")...)

		return nil
	})
	fs.BoolVar(&c.AllowDuplicateIP, "allow-duplicate-ip", false, "accept several peers from one IP")
	fs.BoolVar(&c.Discovery, "discovery", false, "run the discovery reactor (channel 0x50)")
	fs.DurationVar(&c.DiscoveryPeriod, "discovery-period", 3*time.Second, "how often discovery asks a random peer")
	fs.StringVar(&c.AddressBook, "address-book", "", "`file` that discovery takes for its address book; it is not changed")
	fs.DurationVar(&c.PingInterval, "ping-interval", 60*time.Second, "time between pings")
	fs.DurationVar(&c.PongTimeout, "pong-timeout", 45*time.Second, "how long a pong may take, below the ping interval")
	fs.TextVar(&c.LogLevel, "log-level", slog.LevelInfo, "level of the log on stderr")
	for _, define := range more {
		define(fs)
	}
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	if c.Channels == nil {
		c.Channels = []byte{0x20, 0x21, 0x22, 0x30, 0x40}
	}

	return c, nil
}
