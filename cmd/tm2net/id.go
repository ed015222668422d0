package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/forms"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func newID() *cobra.Command {
	var at string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "id KEYFILE...",
		Short: "Show the TM2 ID and the libp2p peer ID of node keys",
		Long: `Show the TM2 ID and the libp2p peer ID of the key in each file, the node_key.json of any
TM2 version. With --at host:port the address of the node is shown in the forms of both
stacks, ID@host:port and multiaddrs. Of the key itself nothing is shown.`,
		Example: `  tm2net id node_key.json
  tm2net id node_key.json --at 203.0.113.7:26656 --json`,
		Args: cli.AtLeastOneArg("KEYFILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return printForms(cmd, args, asJSON, func(path string) (forms.Forms, error) {
				key, err := types.LoadNodeKey(path)
				if err != nil {
					return forms.Forms{}, err
				}

				return forms.OfKey(path, key, at)
			})
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "host and port at which the node is dialed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object for each file, one a line")

	return cmd
}

func newConvert() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "convert FORM...",
		Short: "Write IDs and addresses in the forms of both stacks",
		Long: `Write each ID or address in all forms that follow from it: TM2 ID, libp2p peer ID,
ID@host:port, and multiaddrs over TCP and QUIC. Nobody is asked, and no host name is looked
up. A peer ID holds the public key, so that the TM2 ID follows from it; a TM2 ID is a hash,
from which no peer ID follows.`,
		Example: `  tm2net convert g1wv99ahpgctud4ukemn36q82lyp0rte24lmvulg@203.0.113.7:26656
  tm2net convert --json /ip4/203.0.113.7/tcp/26656/p2p/12D3KooWMm1c4pzeLPGkkCJMAgFbsfQ8xmVDusg272icWsaNHWzN`,
		Args: cli.AtLeastOneArg("FORM"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return printForms(cmd, args, asJSON, forms.Parse)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object for each form, one a line")

	return cmd
}

// printForms prints the forms of each argument, also when others fail.
func printForms(cmd *cobra.Command, args []string, asJSON bool, of func(string) (forms.Forms, error)) error {
	var failed error
	for i, arg := range args {
		f, err := of(arg)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", cmd.Name(), err))

			continue
		}
		if asJSON {
			err = printJSON(cmd.OutOrStdout(), f)
		} else {
			_, err = io.WriteString(cmd.OutOrStdout(), formsText(f, i > 0))
		}
		if err != nil {
			return err
		}
	}

	return failed
}

func formsText(f forms.Forms, further bool) string {
	var b strings.Builder
	if further {
		b.WriteByte('\n')
	}
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-10s %s\n", name, value)
		}
	}
	row("TM2 ID", f.ID.String())
	row("peer ID", f.PeerID)
	row("address", f.Address)
	for _, m := range f.Multiaddrs {
		row("multiaddr", m)
	}
	row("note", f.Note)

	return cli.Printable(b.String())
}
