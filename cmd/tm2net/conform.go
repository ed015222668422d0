package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/nativecases"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/sessioncases"
)

// The exit statuses of conform, by the gravest level at which a node deviates in a way that is
// not known.
const (
	exitMust   = 3
	exitShould = 4
	exitStrict = 5
	// exitEnded says that the node's process has ended.
	exitEnded = 6
)

// conformFlags are the flags of conform.
type conformFlags struct {
	sections             []string
	strict, quick, risky bool
	list, asJSON         bool
	junit                string
	known, writeKnown    string
	listen               string
	listenOnly           bool
	listenWait           time.Duration
	operate              bool
	network              string
	channel              string
	channelID            byte // channel, parsed
	capacity             int
	rate, conns          int
	maxInbound           int
	onePerIP, quic       bool
	patience             time.Duration
}

const conformLong = `Play well-formed and malformed behaviour against a running node and compare what it
does with the specification (docs/wire.md, docs/sessions.md). Each case has a level:

  must    what peers rely on, and what keeps strangers from passing for a peer
  should  what protects a node: deadlines, limits, checks of what a peer says of itself
  strict  what this project does beyond that; only with --strict

A deviation that was seen twice counts. With --known, what a released version is known for
does not. The exit status is 0 if nothing else was seen, and that of the gravest level
otherwise: 3 must, 4 should, 5 strict. It is 6 if the node has ended meanwhile, 1 if it cannot
be judged, and 2 if the command line is wrong.

Only nodes on this machine and in private networks are tested, unless you say that you
operate the node. A node that lets in one peer of an IP is judged by fewer cases: set
allow_duplicate_ip in its configuration. The channel for junk is 0x50 (pex = true).`

const conformExample = `  tm2net conform --list
  tm2net conform --section sts,auth 127.0.0.1:26656
  tm2net conform --section packets --strict --junit report.xml 127.0.0.1:26656
  tm2net conform --section sts --known gno-v1.7.1 127.0.0.1:26656`

func newConform() *cobra.Command {
	var f conformFlags
	cmd := &cobra.Command{
		Use:     "conform ADDRESS",
		Short:   "Judge a running node by the specification, case by case",
		Long:    conformLong,
		Example: conformExample,
		Args:    func(cmd *cobra.Command, args []string) error { return f.check(cmd, args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.list {
				return listCases(cmd.OutOrStdout())
			}

			return f.run(cmd, args[0])
		},
	}
	f.define(cmd)

	return cmd
}

func (f *conformFlags) define(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringSliceVar(&f.sections, "section", nil, "play these sections only: "+strings.Join(allCases().Sections(), ", "))
	fs.BoolVar(&f.strict, "strict", false, "play the level strict, too")
	fs.BoolVar(&f.quick, "quick", false, "leave out cases that wait for timers of the node for more than 10 s")
	fs.BoolVar(&f.risky, "risky", false, "play cases that end the process of a released version, too")
	fs.BoolVar(&f.list, "list", false, "list all cases and exit")
	fs.BoolVar(&f.asJSON, "json", false, "print one report in JSON for each role on a line; what happens goes to the standard error")
	fs.StringVar(&f.junit, "junit", "", "write a report in JUnit XML to this `file`")
	fs.StringVar(&f.known, "known", "", "what the node is known for: a `version` ("+strings.Join(conform.KnownVersions(), ", ")+") or a file")
	fs.StringVar(&f.writeKnown, "write-known", "", "write what was seen as known deviations to this `file`, after a whole run")
	fs.StringVar(&f.listen, "listen", "", "then let the node dial this `IP:port` and those after it, one for each case")
	fs.BoolVar(&f.listenOnly, "listen-only", false, "with --listen, play only what the node dials")
	fs.DurationVar(&f.listenWait, "listen-wait", 2*time.Minute, "how long the node may take to dial")
	fs.BoolVar(&f.operate, "i-operate-this-node", false, "test a node at a public address")
	fs.StringVar(&f.network, "network", "", "the network of a bridge, which shows no NodeInfo of its own")
	fs.StringVar(&f.channel, "channel", "", "a channel on which the node ignores what it does not know, as in 0x50")
	fs.IntVar(&f.capacity, "capacity", 0, "with --channel, its receive capacity in bytes")
	fs.IntVar(&f.maxInbound, "max-inbound", 0, fmt.Sprintf("the node's max_num_inbound_peers, at most %d, to fill it", conform.MaxInbound))
	fs.BoolVar(&f.onePerIP, "one-per-ip", false, "the node has allow_duplicate_ip = false: judge that, too")
	fs.BoolVar(&f.quic, "quic", false, "play the section sessions over QUIC")
	fs.IntVar(&f.rate, "rate", 20, fmt.Sprintf("connections a second, at most %d", conform.MaxRate))
	fs.IntVar(&f.conns, "parallel", 4, "cases that are played at a time, beside up to 8 slow ones")
	fs.DurationVar(&f.patience, "patience", 10*time.Second, "how long the node may take to answer or to end a connection")
}

// check finds mistakes on the command line.
func (f *conformFlags) check(cmd *cobra.Command, args []string) error {
	if f.list {
		return cli.ExactArgs()(cmd, args)
	}
	if err := cli.ExactArgs("ADDRESS")(cmd, args); err != nil {
		return err
	}
	for _, s := range f.sections {
		if !slices.Contains(allCases().Sections(), s) {
			return cli.Usagef(cmd, "there is no section %q; there are %s", s, strings.Join(allCases().Sections(), ", "))
		}
	}
	for name, positive := range map[string]bool{
		"--rate": f.rate > 0 && f.rate <= conform.MaxRate, "--parallel": f.conns > 0 && f.conns <= 64,
		"--max-inbound": f.maxInbound >= 0 && f.maxInbound <= conform.MaxInbound, "--patience": f.patience > 0, "--listen-wait": f.listenWait > 0,
	} {
		if !positive {
			return cli.Usagef(cmd, "%s: the value is out of range", name)
		}
	}
	if f.listen != "" {
		if _, err := netip.ParseAddrPort(f.listen); err != nil {
			return cli.Usagef(cmd, "--listen %s: it has to be IP:port", f.listen)
		}
	} else if f.listenOnly {
		return cli.Usagef(cmd, "--listen-only needs --listen")
	}
	if (f.channel != "") != (f.capacity > 0) {
		return cli.Usagef(cmd, "--channel and --capacity go together")
	}
	if f.channel != "" {
		ch, err := strconv.ParseUint(f.channel, 0, 8)
		if err != nil {
			return cli.Usagef(cmd, "--channel %s: %w", f.channel, err)
		}
		f.channelID = byte(ch)
	}

	return nil
}

// allCases are the cases of both stacks.
func allCases() conform.Catalog {
	return slices.Concat(nativecases.Suite().Cases, sessioncases.Suite().Cases)
}

func listCases(out io.Writer) error {
	var b strings.Builder
	all := allCases()
	for _, c := range all {
		var marks []string
		if c.Slow {
			marks = append(marks, "slow")
		}
		if c.Risky != "" {
			marks = append(marks, "risky")
		}
		for _, r := range []conform.Role{conform.Dialing, conform.Listening} {
			if c.In(r) {
				marks = append(marks, string(r))
			}
		}
		fmt.Fprintf(&b, "%-6s %-6s %-36s %s: %s (%s; %s)\n",
			all.Number(c.ID()), c.Level, c.ID(), c.Title, conform.Describe(c).Expected(), c.Spec, strings.Join(marks, ", "))
	}
	_, err := io.WriteString(out, b.String())

	return err
}

func (f *conformFlags) run(cmd *cobra.Command, address string) error {
	known, err := f.loadKnown(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	target, suites, err := f.target(ctx, address)
	if err != nil {
		return fmt.Errorf("conform: %w", err)
	}
	show := cmd.OutOrStdout()
	if f.asJSON {
		show = cmd.ErrOrStderr()
	}
	out := &printer{w: show}
	o := conform.Options{
		Sections: f.sections, Strict: f.strict, Quick: f.quick, Risky: f.risky, Known: known, Conns: f.conns, Progress: out.result,
	}
	reports, err := f.play(ctx, out, target, suites, o)
	if err == nil {
		err = f.keepKnown(known, reports)
	}
	err = errors.Join(err, out.err, f.write(cmd, reports))
	switch {
	case errors.Is(err, conform.ErrNodeEnded):
		return cli.WithStatus(exitEnded, fmt.Errorf("conform: %w", err))
	case err != nil:
		return fmt.Errorf("conform: %w", err)
	default:
		return judgement(reports)
	}
}

func (f *conformFlags) loadKnown(cmd *cobra.Command) (*conform.Known, error) {
	if f.known == "" {
		return nil, nil
	}
	known, err := conform.LoadKnown(f.known)
	if err == nil {
		err = known.Check(allCases())
	}
	if err != nil {
		return nil, cli.UsageError(cmd, err)
	}

	return known, nil
}

// play plays the roles one after the other.
func (f *conformFlags) play(
	ctx context.Context, out *printer, target *conform.Target, suites []conform.Suite, o conform.Options,
) (reports []*conform.Report, err error) {
	if !f.listenOnly {
		report, err := conform.Run(ctx, target, suites, o)
		reports = append(reports, report)
		out.line(report.Summary())
		if err != nil {
			return reports, err
		}
	}
	if f.listen != "" {
		target.Role = conform.Listening
		o.Listener = conform.NewListener(netip.MustParseAddrPort(f.listen), f.listenWait, func(addrs string) {
			out.line("the node has to dial: persistent_peers = \"" + addrs + "\"")
		})
		report, err := conform.Run(ctx, target, suites, o)
		reports = append(reports, report)
		out.line(report.Summary())
		if err != nil {
			return reports, err
		}
	}

	return reports, nil
}

// keepKnown writes what the node of a whole run is known for from now on, if that was asked for.
func (f *conformFlags) keepKnown(known *conform.Known, reports []*conform.Report) error {
	if f.writeKnown == "" {
		return nil
	}
	if known == nil {
		known = &conform.Known{}
	}

	return known.Merge(reports...).Write(f.writeKnown)
}

// write writes the report and the JSON that were asked for.
func (f *conformFlags) write(cmd *cobra.Command, reports []*conform.Report) error {
	var errs []error
	if f.asJSON {
		for _, r := range reports {
			errs = append(errs, printJSON(cmd.OutOrStdout(), r))
		}
	}
	if f.junit != "" {
		errs = append(errs, writeFile(f.junit, func(w *os.File) error { return conform.WriteJUnit(w, reports...) }))
	}

	return errors.Join(errs...)
}

// judgement is the error of the gravest level at which the node deviates. A run without a case, as of
// a section that the node's stack does not have, says nothing of the node, and so is no success.
func judgement(reports []*conform.Report) error {
	var failed, played int
	worst := conform.Level("")
	for _, r := range reports {
		failed += r.Failures()
		played += len(r.Results) - r.Counts[conform.Skipped]
		if l := r.Worst(); l != "" && (worst == "" || slices.Index(conform.Levels(), l) < slices.Index(conform.Levels(), worst)) {
			worst = l
		}
	}
	if worst != "" {
		status := map[conform.Level]int{conform.Must: exitMust, conform.Should: exitShould, conform.Strict: exitStrict}[worst]

		return cli.WithStatus(status, fmt.Errorf("conform: the node deviates at the level %s", worst))
	}
	if failed > 0 {
		return fmt.Errorf("conform: %d cases could not be played", failed)
	}
	if played == 0 {
		return errors.New("conform: no case was played: the stacks of the node, the role and the flags leave none")
	}

	return nil
}

// printer writes lines. It may be used by several goroutines.
type printer struct {
	mtx sync.Mutex
	w   io.Writer
	err error
}

func (p *printer) line(text string) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	if _, err := io.WriteString(p.w, cli.Printable(text)+"\n"); err != nil && p.err == nil {
		p.err = err
	}
}

func (p *printer) result(r conform.Result) {
	if r.Status != conform.Skipped {
		p.line(r.Line())
	}
}
