package main

import (
	"errors"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
)

// The exit statuses (docs/operate.md).
const (
	exitOK     = cli.ExitOK
	exitFailed = cli.ExitFailed
	exitUsage  = cli.ExitUsage
	exitConfig = 3 // the configuration, the key or the token cannot be used
	exitListen = 4 // the bridge cannot listen
	exitStop   = 5 // the bridge did not stop in time
)

// errStop says that the bridge did not stop in time.
var errStop = errors.New("the bridge did not stop in time")
