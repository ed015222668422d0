package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// View shows the progress and the summary of a run. It is not safe for concurrent use.
type View struct {
	begin    func(Topology) error
	progress func(Snapshot) error
	done     func(*Summary) error
	err      error // the first error of writing
}

// NewJSONView writes one JSON object a line: each snapshot, then the summary.
func NewJSONView(w io.Writer) *View {
	enc := json.NewEncoder(w)

	return &View{
		begin:    func(Topology) error { return nil },
		progress: func(s Snapshot) error { return enc.Encode(s) },
		done:     func(s *Summary) error { return enc.Encode(s) },
	}
}

// NewLineView writes one line for each snapshot, then the summary.
func NewLineView(w io.Writer) *View { return newTextView(w, line) }

// NewTableView writes a table that it redraws in place with ANSI escape codes, then the
// summary. Its lines are shorter than 80 columns for up to 8 nodes per side.
func NewTableView(w io.Writer) *View {
	up := ""

	return newTextView(w, func(s Snapshot) string {
		lines := table(s)
		text := up + strings.Join(lines, "\x1b[K\n") + "\x1b[K\n"
		up = fmt.Sprintf("\x1b[%dA", len(lines))

		return text
	})
}

func newTextView(w io.Writer, progress func(Snapshot) string) *View {
	write := func(text string) error {
		_, err := io.WriteString(w, text)
		return err
	}

	return &View{
		begin:    func(t Topology) error { return write(t.String() + legend) },
		progress: func(s Snapshot) error { return write(progress(s)) },
		done:     func(s *Summary) error { return write(renderSummary(s)) },
	}
}

// Begin shows the network. The JSON view leaves it out.
func (v *View) Begin(t Topology) {
	if v.err == nil {
		v.err = v.begin(t)
	}
}

// Progress shows a snapshot.
func (v *View) Progress(s Snapshot) {
	if v.err == nil {
		v.err = v.progress(s)
	}
}

// Done shows the summary. It returns the first error of writing.
func (v *View) Done(s *Summary) error {
	if v.err == nil {
		v.err = v.done(s)
	}

	return v.err
}

func line(s Snapshot) string {
	return fmt.Sprintf("%4.0fs native: %d sent (%.0f/s) %d delivered (%.0f/s) | libp2p: %d sent (%.0f/s) %d delivered (%.0f/s)"+
		" | bridge: %d pairs, %d to libp2p, %d to native | %s\n",
		s.Elapsed, s.Native.Sent, s.Native.SentRate, s.Native.Delivered, s.Native.DeliveredRate,
		s.Libp2p.Sent, s.Libp2p.SentRate, s.Libp2p.Delivered, s.Libp2p.DeliveredRate,
		s.Pairs, s.Crossed.ToLibp2p, s.Crossed.ToNative, s.Faults)
}

func table(s Snapshot) []string {
	row := func(name string, side Side) string {
		return fmt.Sprintf("%-8s %12d %10.0f %12d %10.0f   %s", name,
			side.Sent, side.SentRate, side.Delivered, side.DeliveredRate, strings.Trim(fmt.Sprint(side.Peers), "[]"))
	}

	return []string{
		fmt.Sprintf("%.0f s", s.Elapsed),
		fmt.Sprintf("%-8s %12s %10s %12s %10s   %s", "side", "sent", "per s", "delivered", "per s", "peers"),
		row("native", s.Native),
		row("libp2p", s.Libp2p),
		fmt.Sprintf("bridge: %d pairs, %d crossed to libp2p, %d to native", s.Pairs, s.Crossed.ToLibp2p, s.Crossed.ToNative),
		s.Faults.String(),
	}
}

// String lists the counts.
func (f Faults) String() string {
	text := fmt.Sprintf("lost %d, duplicated %d, reordered %d", f.Lost, f.Duplicated, f.Reordered)
	if f.Corrupted > 0 {
		text += fmt.Sprintf(", corrupted %d", f.Corrupted)
	}
	if f.LinksEnded > 0 {
		text += fmt.Sprintf(", links ended %d", f.LinksEnded)
	}

	return text
}

func renderSummary(s *Summary) string {
	verdict := "every message reached every node, in order and once"
	if err := s.Err(); err != nil {
		verdict = err.Error()
	}
	took := time.Duration(s.Duration * float64(time.Second)).Round(time.Millisecond)
	perSecond := 0.0
	if s.Duration > 0 {
		perSecond = float64(s.Sent) / s.Duration
	}

	return fmt.Sprintf(`
nodes      %d native, %d libp2p, 1 bridge; pairs on it: %d
duration   %s, seed %d
sent       %d (%.0f per second)
delivered  %d of %d
crossed    %d to libp2p, %d to native
faults     %s
%s
`, s.NodesPerSide, s.NodesPerSide, s.Pairs, took, s.Seed, s.Sent, perSecond, s.Delivered, s.Expected,
		s.Crossed.ToLibp2p, s.Crossed.ToNative, s.Faults, verdict)
}
