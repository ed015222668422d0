//go:build linux

// Command wan measures the stacks on a wide-area network in a box and prints tables:
//
//	go run ./interop-tests/wan/cmd/wan            # the short form, about 2 minutes
//	go run ./interop-tests/wan/cmd/wan -full      # hours; see -only
//
// ../../README.md describes the measurements. It needs Linux and root, or a user namespace:
// build it, and run it under unshare -rn.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/chain"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/pair"
)

// roles returns the roles of all child processes of the command.
func roles() map[string]child.Role {
	all := cluster.Roles()
	maps.Copy(all, pair.Roles())
	maps.Copy(all, chain.Roles())

	return all
}

func main() {
	child.Main(roles())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, s, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "wan:", err)
		stop()
		os.Exit(1)
	}
}

// section is a part of the report.
type section struct {
	name  string
	write func(r *report, ctx context.Context) error
}

// sections returns the parts in their order.
func sections() []section {
	return []section{
		{"proof", (*report).proof},
		{"pairs", (*report).pairs},
		{"wire", (*report).wire},
		{"consensus", (*report).consensus},
		{"sync", (*report).sync},
		{"cut", (*report).cut},
	}
}

// run measures and prints the sections. It returns an error if one could not be measured. A
// void run is no error. What was measured before an error is printed, and in the plot.
func run(ctx context.Context, s settings, out, log io.Writer) error {
	r := &report{settings: s, out: out, log: log}
	r.head()
	for _, part := range sections() {
		if !s.only.MatchString(part.name) {
			continue
		}
		if err := part.write(r, ctx); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", part.name, err), r.plot())
		}
	}

	return r.plot()
}
