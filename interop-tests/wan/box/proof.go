package box

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Proof compares what a box did to plain UDP and TCP with what was asked of it.
type Proof struct {
	Asked      Path
	Uplink     Uplink
	Congestion string // of both ends, as the kernel says

	RoundTrip      [2]time.Duration // of UDP, median and 99th percentile
	Sent, Returned int              // UDP packets of the round trips, two paths each
	Overtaken      int              // of those returned
	Rate           float64          // of TCP, bits of payload per second; 0 if not measured
	Whole          float64          // the same, from the first byte on
	Late           time.Duration    // of the router
	Prioritized    bool             // the router had real-time priority
}

// Void reports whether the router was too late for the figures to mean anything.
func (p Proof) Void() bool { return p.Late > LateLimit }

// WriteProofs prints a Markdown table.
func WriteProofs(to io.Writer, proofs []Proof) error {
	var b strings.Builder
	b.WriteString("| Asked: round trip | loss, one way | uplink | round trip p50, p99 | lost of round trips | overtaken | TCP | congestion control | router's priority | router late |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for _, p := range proofs {
		asked := (2 * p.Asked.Delay).String()
		if p.Asked.Jitter > 0 {
			asked += fmt.Sprintf(" and up to %v", 2*p.Asked.Jitter)
		}
		loss := fmt.Sprintf("%.1f %%", 100*p.Asked.Loss)
		if p.Asked.Burst > 1 {
			loss += fmt.Sprintf(" in bursts of %g", p.Asked.Burst)
		}
		if p.Asked.Reorder > 0 {
			loss += fmt.Sprintf(", %.0f %% overtaken", 100*p.Asked.Reorder)
		}
		priority := "normal"
		if p.Prioritized {
			priority = "real-time"
		}
		rate, late := "", p.Late.Round(10*time.Microsecond).String()
		if p.Rate > 0 {
			rate = fmt.Sprintf("%.1f Mbit/s", p.Rate/1e6)
		}
		if p.Void() {
			late += ", **void**"
		}
		fmt.Fprintf(&b, "| %s | %s | %.0f Mbit/s | %v, %v | %.2f %% | %d of %d | %s | %s | %s | %s |\n",
			asked, loss, p.Uplink.Rate/1e6, p.RoundTrip[0].Round(10*time.Microsecond), p.RoundTrip[1].Round(10*time.Microsecond),
			100*float64(p.Sent-p.Returned)/float64(p.Sent), p.Overtaken, p.Returned, rate, p.Congestion, priority, late)
	}
	_, err := io.WriteString(to, b.String())

	return err
}
