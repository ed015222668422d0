// Gnobuild builds a gnoland of a released gno whose node runs on the switches of this project
// (docs/gnoland.md). It downloads the module of gno by the go command, changes the node's
// source in an overlay, and builds any program of the module:
//
//	go run ./dropin/cmd/gnobuild -gno v1.7.1 -o gnoland
//
// The module of gno and this repository stay as they are. The program stands under gno's
// licence.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
)

const (
	gnoModule    = "github.com/gnolang/gno"
	ourModule    = "github.com/tm2-libp2p/tm2-libp2p"
	dropinModule = ourModule + "/dropin"
)

// supported are the releases that were tried, the newest first.
var supported = []string{"v1.7.1", "v1.5.1", "v1.4.0", "v1.1.0"}

// options are what the flags say.
type options struct {
	gno     string // a release
	dir     string // a checkout in its place, or ""
	pkg     string
	out     string
	gnoRoot string
	stack   string
	dial    string
	print   bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "gnobuild:", err)
		os.Exit(1)
	}
}

// run builds what the arguments want. Diffs go to stdout, progress to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	b := &builder{options: *o, stderr: stderr}
	if err := b.findModules(ctx); err != nil {
		return err
	}
	p, err := newPatch(b.gnoDir, b.config())
	if err != nil {
		return err
	}
	if o.print {
		_, err := io.WriteString(stdout, p.diff())

		return err
	}
	if b.work, err = os.MkdirTemp("", "gnobuild-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.work)) }()
	if err := b.prepare(p); err != nil {
		return err
	}

	return b.build(ctx, p.tags)
}

// parseFlags reads the arguments. Values that cannot be used are errors.
func parseFlags(args []string, stderr io.Writer) (*options, error) {
	var o options
	defaults := config.DefaultP2PConfig()
	flags := flag.NewFlagSet("gnobuild", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.gno, "gno", supported[0], "release of gno: "+strings.Join(supported, ", "))
	flags.StringVar(&o.dir, "dir", "", "checkout of gno to build in place of a release, such as that of a chain with local changes")
	flags.StringVar(&o.pkg, "pkg", "gno.land/cmd/gnoland", "program of gno's module to build")
	flags.StringVar(&o.out, "o", "", "file to write (default the name of the program)")
	flags.StringVar(&o.gnoRoot, "gnoroot", "", "GNOROOT that is compiled in (default the folder of gno's module)")
	flags.StringVar(&o.stack, "stack", defaults.Stack, "[p2p].stack of a node that does not set it: native, dual or libp2p")
	flags.StringVar(&o.dial, "dial", defaults.Dial, "[p2p].dial of a node that does not set it: auto, native-first, libp2p-first, native or libp2p")
	flags.BoolVar(&o.print, "print", false, "show the change of gno's source as a diff, and build nothing")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%q is not a flag; gnobuild -help lists them", flags.Arg(0))
	}
	if o.dir == "" && !slices.Contains(supported, o.gno) {
		return nil, fmt.Errorf("gno %s was not tried; supported are %s. To try another one, check it out and name it by -dir",
			o.gno, strings.Join(supported, ", "))
	}
	o.pkg = strings.TrimPrefix(path.Clean(o.pkg), gnoModule+"/")
	if o.out == "" {
		o.out = path.Base(o.pkg)
	}
	var err error
	if o.out, err = filepath.Abs(o.out); err != nil {
		return nil, err
	}
	if err := o.config().ValidateBasic(); err != nil {
		return nil, err
	}

	return &o, nil
}

// config returns the defaults of [p2p] that are compiled in.
func (o *options) config() *config.P2PConfig {
	c := config.DefaultP2PConfig()
	c.Stack, c.Dial = o.stack, o.dial

	return c
}
