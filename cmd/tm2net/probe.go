package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// probesAtOnce is how many addresses are probed at a time.
const probesAtOnce = 8

func newProbe() *cobra.Command {
	var timeout time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "probe ADDRESS...",
		Short: "Find out who answers at addresses, and over which stack",
		Long: `Identify the node at each address, ID@host:port or host:port. An ID is checked
against the node's key. The node is authenticated and asked for its NodeInfo, over the
native protocol or over libp2p, whichever it speaks. A libp2p node is tried over QUIC too.
The clock is compared if the node's RPC server answers. The probe never becomes a peer.

The exit status is 1 if one of the addresses fails.`,
		Example: `  tm2net probe 127.0.0.1:26656
  tm2net probe --json 127.0.0.1:26656 127.0.0.1:36656`,
		Args: cli.AtLeastOneArg("ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if timeout <= 0 {
				return cli.Usagef(cmd, "--timeout %s: it must be positive", timeout)
			}

			return probeAll(cmd, args, timeout, asJSON)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 15*time.Second, "limit on the probe of each address")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object for each address, one a line")

	return cmd
}

// probeAll probes all addresses side by side and prints what was found in their order.
func probeAll(cmd *cobra.Command, addresses []string, timeout time.Duration, asJSON bool) error {
	found := make([]chan probed, len(addresses))
	places := make(chan struct{}, probesAtOnce)
	var group sync.WaitGroup
	defer group.Wait()
	for i, address := range addresses {
		found[i] = make(chan probed, 1)
		group.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			found[i] <- probeOne(cmd.Context(), address, timeout)
		})
	}
	var failed []error
	for i := range found {
		p := <-found[i]
		if p.err != nil {
			failed = append(failed, p.err)
		}
		if err := p.print(cmd.OutOrStdout(), asJSON, i > 0); err != nil {
			return fmt.Errorf("probe: %w", err)
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(failed) == 1:
		return fmt.Errorf("probe: %w", failed[0])
	default:
		return fmt.Errorf("probe: %d of %d addresses failed; the first: %w", len(failed), len(addresses), failed[0])
	}
}

// probed is what was found at an address.
type probed struct {
	asked  string
	result *probe.Result // nil if nobody answered
	ahead  *time.Duration
	err    error
}

func probeOne(ctx context.Context, address string, timeout time.Duration) probed {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p := probed{asked: address}
	p.result, p.err = probe.Options{QUIC: true}.Probe(ctx, address)
	if p.result != nil {
		if ahead, known := probe.ClockAhead(ctx, p.result); known {
			p.ahead = &ahead
		}
	}

	return p
}

func (p probed) print(out io.Writer, asJSON, further bool) error {
	if asJSON {
		return printJSON(out, p.report())
	}
	if p.result == nil {
		return nil // the error says all
	}
	if further {
		if _, err := io.WriteString(out, "\n"); err != nil {
			return err
		}
	}

	return printProbe(out, p)
}

// probeReport is a probe in JSON.
type probeReport struct {
	Asked     string          `json:"asked"`
	Address   string          `json:"address,omitempty"`
	Stacks    []string        `json:"stacks,omitempty"`
	Dialect   string          `json:"dialect,omitempty"`
	ID        types.ID        `json:"id,omitempty"`
	PeerID    string          `json:"peer_id,omitempty"`
	QUIC      *bool           `json:"quic,omitempty"`
	Bridge    bool            `json:"bridge,omitempty"`
	RoundTrip float64         `json:"round_trip_ms,omitempty"`
	Handshake float64         `json:"handshake_ms,omitempty"`
	Ahead     *float64        `json:"clock_ahead_s,omitempty"`
	NodeInfo  *types.NodeInfo `json:"node_info,omitempty"`
	Notes     []string        `json:"notes,omitempty"`
	Error     string          `json:"error,omitempty"`
}

func (p probed) report() probeReport {
	r := probeReport{Asked: p.asked}
	if p.err != nil {
		r.Error = p.err.Error()
	}
	if f := p.result; f != nil {
		r.Address, r.Stacks, r.Dialect, r.ID, r.PeerID = f.Address, f.Stacks, f.Dialect, f.ID, f.PeerID
		r.QUIC, r.Bridge, r.NodeInfo, r.Notes = f.QUIC, f.Bridge, f.NodeInfo, f.Notes
		r.RoundTrip, r.Handshake = milliseconds(f.ConnectTime), milliseconds(f.HandshakeTime)
	}
	if p.ahead != nil {
		seconds := p.ahead.Seconds()
		r.Ahead = &seconds
	}

	return r
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

// printProbe prints the known fields of a result.
func printProbe(out io.Writer, p probed) error {
	var b strings.Builder
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-10s %s\n", name, value)
		}
	}
	r := p.result
	row("address", r.Address)
	row("stack", strings.Join(r.Stacks, ", "))
	row("dialect", r.Dialect)
	if r.QUIC != nil {
		row("QUIC", map[bool]string{true: "answers", false: "does not answer"}[*r.QUIC])
	}
	row("TM2 ID", r.ID.String())
	row("peer ID", r.PeerID)
	row("round trip", r.ConnectTime.Round(time.Microsecond).String())
	if r.HandshakeTime > 0 {
		row("handshake", r.HandshakeTime.Round(time.Microsecond).String())
	}
	if p.ahead != nil {
		row("clock", ahead(*p.ahead))
	}
	if r.Bridge {
		row("note", "it says that it is a bridge")
	}
	for _, note := range r.Notes {
		row("note", note)
	}
	if r.NodeInfo != nil {
		info, err := json.MarshalIndent(r.NodeInfo, "", "  ")
		if err != nil {
			return fmt.Errorf("unable to show the NodeInfo: %w", err)
		}
		row("node info", string(info))
	}
	_, err := io.WriteString(out, cli.Printable(b.String()))

	return err
}

// ahead tells how a node's clock differs from this machine's. It is known to a second.
func ahead(d time.Duration) string {
	switch {
	case d > time.Second:
		return fmt.Sprintf("%s ahead of this machine's", d)
	case d < -time.Second:
		return fmt.Sprintf("%s behind this machine's", -d)
	default:
		return "as this machine's, to a second"
	}
}
