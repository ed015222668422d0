package history

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/crawl"
)

// WriteTable writes a row for each summary.
func WriteTable(out io.Writer, list []crawl.Summary) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "time (UTC)\tnative\tboth\tlibp2p\tnot native only\tbridges\tQUIC\theard of\t")
	for _, s := range list {
		note := ""
		if !s.Complete {
			note = "not complete"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%d\t%d\t%d\t%s\n", s.Time.UTC().Format(time.DateTime),
			s.Native, s.Both, s.Libp2p, share(s), s.Bridges, s.QUIC, s.Heard, note)
	}

	return w.Flush()
}

// share is which part of the network can be reached over libp2p.
func share(s crawl.Summary) string {
	all := s.Native + s.Both + s.Libp2p
	if all == 0 {
		return "–"
	}

	return fmt.Sprintf("%.0f %%", 100*float64(s.Both+s.Libp2p)/float64(all))
}
