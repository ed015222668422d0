package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// shownEvents is how many of the latest events a terminal shows.
	shownEvents = 8
	nameWidth   = 24
	// An error shows as many characters of its beginning and of its end, which has the cause.
	errorHead, errorTail = 40, 70
)

// signs are the states as a terminal shows them.
var signs = map[string]string{
	bridgehttp.StateOK: "[ OK ]", bridgehttp.StateIdle: "[IDLE]", bridgehttp.StateDegraded: "[LOOK]", bridgehttp.StateDown: "[DOWN]",
}

// statusText shows a report on a terminal.
func statusText(r *bridgehttp.Report, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", signs[r.Health.State], cli.OneLine(r.Health.Reason, 0))
	if r.Health.Cure != "" {
		fmt.Fprintf(&b, "       cure: %s\n", cli.OneLine(r.Health.Cure, 0))
	}
	fmt.Fprintf(&b, "bridge %s, up for %s\n", r.ID, age(r.Started, now))
	fmt.Fprintf(&b, "       %d of %d slots taken; in 24 h: %d native and %d libp2p nodes seen\n",
		r.SlotsTaken, r.MaxPairs, r.Seen.Native, r.Seen.Libp2p)
	fmt.Fprintf(&b, "       relayed %d messages, %s to libp2p, %s to native\n",
		r.ToLibp2p.Messages+r.ToNative.Messages, size(r.ToLibp2p.Bytes), size(r.ToNative.Bytes))
	pairsText(&b, r, now)
	waitingText(&b, r, now)
	flappingText(&b, r, now)
	targetsText(&b, r, now)
	tunnelsText(&b, r, now)
	eventsText(&b, r)

	return b.String()
}

// table writes aligned columns below a title.
func table(b *strings.Builder, title string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
	}
	_ = w.Flush() // a strings.Builder takes everything
}

func pairsText(b *strings.Builder, r *bridgehttp.Report, now time.Time) {
	var rows [][]string
	for _, p := range r.Pairs {
		arrow := "-->"
		if p.Initiator == bridge.InitiatorLibp2p {
			arrow = "<--"
		}
		rows = append(rows,
			[]string{who(p.Native.Moniker, p.NativeID), arrow, who(p.Libp2p.Moniker, p.Libp2pID), age(p.Since, now),
				fmt.Sprintf("%s/s ->, <- %s/s", size(uint64(p.Libp2p.SendRate)), size(uint64(p.Native.SendRate))),
				fmt.Sprintf("%d queued", p.Native.Queued+p.Libp2p.Queued)},
			[]string{p.NativeID.String(), "", p.Libp2pID.String()},
			[]string{"seen as " + p.Native.ShownAs.String(), "", "seen as " + p.Libp2p.ShownAs.String()},
			[]string{link(p.Native), "", link(p.Libp2p)})
	}
	if len(rows) == 0 {
		b.WriteString("\nNo pair is up.\n")
	}
	table(b, fmt.Sprintf("PAIRS: native, libp2p (the arrow: who dialed), %d", len(r.Pairs)), rows)
}

// link describes the connection of a pair: from where, over what, and which version.
func link(p bridge.PeerStatus) string {
	parts := []string{p.Address, p.Transport}
	if p.Dialect != "" {
		parts = append(parts, "dialect "+string(p.Dialect))
	}
	if p.Version != "" {
		parts = append(parts, cli.OneLine(p.Version, nameWidth))
	}

	return strings.Join(parts, " ")
}

func waitingText(b *strings.Builder, r *bridgehttp.Report, now time.Time) {
	if len(r.Waiting) == 0 {
		return
	}
	fmt.Fprintf(b, "\nREFUSED: %d\n", len(r.Waiting))
	for _, w := range r.Waiting {
		asked := fmt.Sprintf("%d times, last %s ago", w.Count, age(w.Last, now))
		if w.Count == 1 {
			asked = "once, " + age(w.Last, now) + " ago"
		}
		stranger := ""
		if !w.Known {
			stranger = "stranger "
		}
		fmt.Fprintf(b, "  %s%s %s (%s, %s), %s: %s\n    %s\n    cure: %s\n", stranger, w.Initiator, who(w.Moniker, w.ID), w.ID,
			cli.OneLine(w.Address, 0), asked, cli.OneLine(w.Reason, 0), cli.OneLine(w.Text, 0), cli.OneLine(w.Cure, 0))
	}
}

func flappingText(b *strings.Builder, r *bridgehttp.Report, now time.Time) {
	if len(r.Flapping) == 0 {
		return
	}
	fmt.Fprintf(b, "\nPAIRS THAT END AND COME AGAIN: %d\n", len(r.Flapping))
	for _, f := range r.Flapping {
		fmt.Fprintf(b, "  %s %s to %s: %d in a row, last %s ago, ended by %s: %s\n    cure: %s\n", f.Initiator, f.ID, f.Target,
			f.Ended, age(f.Last, now), cli.OneLine(f.By, 0), cli.OneLine(f.Text, 0), cli.OneLine(f.Cure, 0))
	}
}

func targetsText(b *strings.Builder, r *bridgehttp.Report, now time.Time) {
	var rows [][]string
	for _, t := range r.Targets {
		origin := "learned"
		if t.Configured {
			origin = "configured"
		}
		last := "never dialed"
		switch {
		case t.LastError != "":
			last = t.LastResult
		case !t.LastAnswer.IsZero():
			last = "answered " + age(t.LastAnswer, now) + " ago"
		}
		if t.Refuses {
			last += ", takes nobody now"
		}
		if t.NextTry.After(now) {
			last += ", tried after the others for " + short(t.NextTry.Sub(now))
		}
		rows = append(rows, []string{t.Side, t.State, fmt.Sprintf("%s@%s", t.ID, t.Address), origin, last})
		if t.LastError != "" {
			rows = append(rows, []string{"", "", middle(t.LastError)})
		}
	}
	if len(rows) == 0 {
		b.WriteString("\nNo target is known.\n")
	}
	table(b, fmt.Sprintf("TARGETS: %d", len(r.Targets)), rows)
}

func tunnelsText(b *strings.Builder, r *bridgehttp.Report, now time.Time) {
	var rows [][]string
	for _, t := range r.Tunnels {
		var refused uint64
		for _, n := range t.Refusals {
			refused += n.Count
		}
		if t.ID == "" {
			rows = append(rows, []string{"nodes without a tunnel", fmt.Sprintf("%d refused", refused)})

			continue
		}
		state := "out of reach"
		switch {
		case t.InReach:
			state = "in reach"
		case t.Dialable:
			state = "dialed when needed"
		}
		rows = append(rows, []string{t.Listen, state, fmt.Sprintf("%d open, %d opened, %d refused", len(t.Open), t.Opened, refused),
			fmt.Sprintf("%s to native, %s to libp2p", size(t.ToNative), size(t.ToLibp2p))})
		for _, o := range t.Open {
			rows = append(rows, []string{"  " + o.Direction + " " + cli.OneLine(o.Address, 0), age(o.Since, now), "",
				fmt.Sprintf("%s to native, %s to libp2p", size(o.ToNative), size(o.ToLibp2p))})
		}
	}
	table(b, "TUNNELS: where native nodes dial each libp2p node", rows)
}

func eventsText(b *strings.Builder, r *bridgehttp.Report) {
	var rows [][]string
	for _, e := range slices.Backward(r.Events[max(0, len(r.Events)-shownEvents):]) {
		var nodes []string
		for _, id := range []types.ID{e.NativeID, e.Libp2pID} {
			if id != "" {
				nodes = append(nodes, shortID(id))
			}
		}
		why := strings.TrimSpace(e.Reason + " " + e.Text)
		rows = append(rows, []string{e.Time.Local().Format(time.TimeOnly), e.Kind, strings.Join(nodes, " <-> "), middle(why)})
	}
	table(b, "EVENTS, the latest first", rows)
}

// who is what a node calls itself, or its ID.
func who(moniker string, id types.ID) string {
	return cmp.Or(cli.OneLine(moniker, nameWidth), shortID(id))
}

// middle leaves out the middle of a long error.
func middle(text string) string {
	runes := []rune(cli.OneLine(text, 0))
	if len(runes) <= errorHead+errorTail {
		return string(runes)
	}

	return string(runes[:errorHead]) + "…" + string(runes[len(runes)-errorTail:])
}

func shortID(id types.ID) string {
	const head, tail = 8, 5
	if len(id) <= head+tail {
		return id.String()
	}

	return id.String()[:head] + "…" + id.String()[len(id)-tail:]
}

func age(since, now time.Time) string { return short(now.Sub(since)) }

// short writes a duration in at most two units.
func short(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	days, hours := int(d.Hours())/24, int(d.Hours())%24
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case days == 0:
		return fmt.Sprintf("%d h %d min", hours, int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d d %d h", days, hours)
	}
}

// size writes bytes in their largest unit.
func size(n uint64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	value, unit := float64(n), 0
	for value >= 1000 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}

	return fmt.Sprintf("%.1f %s", value, units[unit])
}
