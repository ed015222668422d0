package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/crawl"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/history"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// crawlFlags are the flags of crawl that are no options of a walk.
type crawlFlags struct {
	asJSON bool
	watch  time.Duration
	out    string
}

func newCrawl() *cobra.Command {
	var opts crawl.Options
	var flags crawlFlags
	cmd := &cobra.Command{
		Use:   "crawl --seeds ADDRESS,... [--network ID] [--watch INTERVAL --out FILE]",
		Short: "Walk a network and tell who is there",
		Long: `Walk a network from seeds, ID@host:port or host:port: each node that answers is asked
for others, by peer exchange and by the DHT. Told are the ID, addresses, moniker, version,
stacks and dialect of each, who answers over QUIC, who is a bridge, and who was only heard of.

Each address is visited once, and a host once at a time. An interrupt ends the walk, and
what was found until then is told.

With --out a summary is appended to a file, from which "tm2net report" draws how the network
moves. With --watch the walk is repeated until an interrupt; addresses where nobody answered
are then left alone for 15 minutes, and longer each time.`,
		Example: `  tm2net crawl --seeds 127.0.0.1:26656
  tm2net crawl --seeds 127.0.0.1:26656 --json
  tm2net crawl --seeds 127.0.0.1:26656,127.0.0.1:36656 --network dev --quic --out history.jsonl
  tm2net crawl --seeds 127.0.0.1:26656 --watch 10m --out history.jsonl`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(opts.Seeds) == 0 {
				return cli.Usagef(cmd, "--seeds is missing: name nodes where the walk begins")
			}
			if err := opts.Validate(); err != nil {
				return cli.Usagef(cmd, "--%w", err)
			}
			switch watches := cmd.Flags().Changed("watch"); {
			case watches && flags.watch <= 0:
				return cli.Usagef(cmd, "--watch %s: it must be positive", flags.watch)
			case watches && flags.out == "":
				return cli.Usagef(cmd, "--watch needs --out, the file to which summaries are appended")
			}
			if cli.IsTerminal(cmd.ErrOrStderr()) {
				opts.Progress = func(p crawl.Progress) { showProgress(cmd.ErrOrStderr(), p) }
			}
			if flags.watch > 0 {
				return watchNetwork(cmd, opts, flags)
			}

			return crawlOnce(cmd, opts, flags)
		},
	}
	addCrawlFlags(cmd, &opts, &flags)

	return cmd
}

func addCrawlFlags(cmd *cobra.Command, opts *crawl.Options, flags *crawlFlags) {
	cmd.Flags().StringSliceVar(&opts.Seeds, "seeds", nil, "nodes where the walk begins, ID@host:port or host:port")
	cmd.Flags().StringVar(&opts.Network, "network", "", "chain ID of the network (default: that of the first node that answers)")
	cmd.Flags().BoolVar(&opts.QUIC, "quic", false, "try each libp2p node over QUIC too, which takes up to 3 seconds where it has none")
	cmd.Flags().Float64Var(&opts.Rate, "rate", crawl.DefaultRate, "visits that begin in a second")
	cmd.Flags().IntVar(&opts.AtOnce, "at-once", crawl.DefaultAtOnce, "visits at a time, each to another host")
	cmd.Flags().DurationVar(&opts.Timeout, "timeout", crawl.DefaultTimeout, "limit on each visit")
	cmd.Flags().IntVar(&opts.MaxNodes, "max-nodes", crawl.DefaultMaxNodes, "limit on the nodes that are told of, and on addresses that are visited")
	cmd.Flags().BoolVar(&flags.asJSON, "json", false, "print a JSON object for each node, one a line, and the summary as the last line")
	cmd.Flags().DurationVar(&flags.watch, "watch", 0, "repeat the walk at this interval until an interrupt")
	cmd.Flags().StringVar(&flags.out, "out", "", "file to which the summary is appended")
}

func crawlOnce(cmd *cobra.Command, opts crawl.Options, flags crawlFlags) error {
	report, err := crawl.Run(cmd.Context(), opts)
	clearProgress(cmd.ErrOrStderr())
	if report != nil {
		err = errors.Join(err, printReport(cmd.OutOrStdout(), report, flags.asJSON))
		if flags.out != "" && report.Reachable > 0 {
			err = errors.Join(err, history.Append(flags.out, report.Summary))
		}
	}
	if err != nil {
		return fmt.Errorf("crawl: %w", err)
	}

	return nil
}

// watchNetwork repeats the walk until the context ends. A walk that finds nobody is told of and
// not kept: the fault may be on this side.
func watchNetwork(cmd *cobra.Command, opts crawl.Options, flags crawlFlags) error {
	opts.Memory = &crawl.Memory{}
	for {
		begin := time.Now()
		report, err := crawl.Run(cmd.Context(), opts)
		clearProgress(cmd.ErrOrStderr())
		switch {
		case cmd.Context().Err() != nil:
			return nil
		case report == nil || report.Reachable == 0:
			cmd.PrintErrf("tm2net: crawl: %s\n", cli.Printable(err.Error()))
		default:
			if err != nil { // a seed that could not be looked up
				cmd.PrintErrf("tm2net: crawl: %s\n", cli.Printable(err.Error()))
			}
			err = errors.Join(history.Append(flags.out, report.Summary), printRound(cmd.OutOrStdout(), report.Summary, flags.asJSON))
			if err != nil {
				return fmt.Errorf("crawl: %w", err)
			}
		}
		if !task.Sleep(cmd.Context(), flags.watch-time.Since(begin)) {
			return nil
		}
	}
}

func printRound(out io.Writer, s crawl.Summary, asJSON bool) error {
	if asJSON {
		return printJSON(out, s)
	}
	_, err := fmt.Fprintf(out, "%s  %d native, %d both, %d libp2p, %d bridges, %d heard of\n",
		s.Time.Local().Format(time.DateTime), s.Native, s.Both, s.Libp2p, s.Bridges, s.Heard)

	return err
}

// printReport prints the nodes and the summary.
func printReport(out io.Writer, r *crawl.Report, asJSON bool) error {
	if asJSON {
		for _, n := range r.Nodes {
			if err := printJSON(out, n); err != nil {
				return err
			}
		}

		return printJSON(out, map[string]crawl.Summary{"summary": r.Summary})
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, n := range r.Nodes {
		if n.State == crawl.Reachable {
			fmt.Fprintln(w, strings.Join(nodeRow(n), "\t"))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	if r.Heard > 0 {
		b.WriteString("\nonly heard of:\n")
	}
	for _, n := range r.Nodes {
		if n.State == crawl.Heard {
			fmt.Fprintf(&b, "%s  %s  told by %d  %s\n", n.ID, cmp.Or(strings.Join(n.Addresses, " "), "no address"),
				n.HeardFrom, cli.OneLine(cmp.Or(n.Error, "not visited"), 120))
		}
	}
	b.WriteString(summaryText(r.Summary))
	_, err := io.WriteString(out, b.String())

	return err
}

// nodeRow has the columns of a node that has answered.
func nodeRow(n *crawl.Node) []string {
	stacks := strings.Join(n.Stacks, "+")
	if n.Dialect != "" {
		stacks += " " + n.Dialect
	}
	if n.QUIC != nil && *n.QUIC {
		stacks += " quic"
	}
	if n.Bridge != "" {
		stacks += map[string]string{crawl.BridgeYes: " bridge", crawl.BridgeLikely: " bridge?"}[n.Bridge]
	}

	return []string{
		n.ID.String(), n.Addresses[0], stacks, cli.OneLine(n.Network, 24), cli.OneLine(n.Version, 24), cli.OneLine(n.Moniker, 24),
		fmt.Sprintf("%.1f ms", float64(n.RoundTrip)), fmt.Sprintf("told %d", n.Told), cli.OneLine(n.Error, 80),
	}
}

func summaryText(s crawl.Summary) string {
	var b strings.Builder
	state := "complete"
	if !s.Complete {
		state = "not complete"
	}
	fmt.Fprintf(&b, "\nnetwork    %s, %s in %.1f s: %d addresses visited\n", cli.OneLine(s.Network, 0), state, s.Seconds, s.Visited)
	fmt.Fprintf(&b, "nodes      %d reachable, %d only heard of\n", s.Reachable, s.Heard)
	fmt.Fprintf(&b, "stacks     %d native only, %d both, %d libp2p only, %d bridges; %d over QUIC\n", s.Native, s.Both, s.Libp2p, s.Bridges, s.QUIC)
	for _, kinds := range []struct {
		name  string
		count map[string]int
	}{{"versions", s.Versions}, {"dialects", s.Dialects}, {"networks", s.Networks}} {
		var parts []string
		for _, name := range crawl.ByCount(kinds.count) {
			parts = append(parts, fmt.Sprintf("%d %s", kinds.count[name], cli.OneLine(name, 0)))
		}
		if len(parts) > 0 {
			fmt.Fprintf(&b, "%-10s %s\n", kinds.name, strings.Join(parts, ", "))
		}
	}

	return b.String()
}

// barWidth is the width of the progress bar, in characters.
const barWidth = 24

// showProgress redraws the line of progress.
func showProgress(out io.Writer, p crawl.Progress) {
	all := p.Visited + p.Active + p.Waiting
	full := barWidth * p.Visited / max(all, 1)
	fmt.Fprintf(out, "\r\x1b[K[%s%s] %d of %d addresses, %d nodes reachable, %d heard of",
		strings.Repeat("#", full), strings.Repeat("-", barWidth-full), p.Visited, all, p.Reachable, p.Heard)
}

func clearProgress(out io.Writer) {
	if cli.IsTerminal(out) {
		fmt.Fprint(out, "\r\x1b[K")
	}
}
