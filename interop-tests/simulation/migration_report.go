package simulation

import (
	"fmt"
	"io"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// ReportMigration writes the steps as a Markdown table. Cells with three values are as those of
// Report.
func ReportMigration(out io.Writer, steps []Step) error {
	var b strings.Builder
	b.WriteString("| Mix | moved · left · joined | one graph after | slots filled | links native · libp2p |" +
		" KiB sent | TCP connections dialed |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, s := range steps {
		fmt.Fprintf(&b, "| %s | %d · %d · %d | %.0f s | %.0f %% | %d · %d | %s | %s |\n",
			s.Mix, s.Moved, s.Left, s.Joined, s.OneGraph.Seconds(), 100*s.Full,
			s.Links[types.StackNative], s.Links[types.StackLibp2p],
			numbers([]float64{s.KiBSent.Mean, s.KiBSent.Most, s.KiBSent.Seed}),
			numbers([]float64{s.Dials.Mean, s.Dials.Most, s.Dials.Seed}))
	}
	_, err := io.WriteString(out, b.String())

	return err
}
