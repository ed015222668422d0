package config_test

import (
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
)

func ExampleParse() {
	cfg, warnings, err := config.Parse([]byte(`
[p2p]
laddr = "tcp://0.0.0.0:26656"
flush_throttle_timeout = "10ms"
pex = true

[bridge]
max_pairs = 20
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cfg.P2P.FlushThrottleTimeout, cfg.Bridge.MaxPairs)
	fmt.Println(warnings[0])
	// Output:
	// 10ms 20
	// [p2p].pex has no effect: the bridge always answers discovery, for each side by itself
}
