package simulation

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// row is one line of the report. It has one or several values for each result.
type row struct {
	name   string
	values func(*Result) []float64
	unit   string
}

// Report writes the results as Markdown tables, with a column for each result and one for
// the ratio of the last to the first. A quantity that differs between nodes has three values:
// the mean, the largest value of a node other than the seed, and the seed's value.
func Report(out io.Writer, results []*Result) error {
	var b strings.Builder
	for _, section := range []struct {
		title string
		rows  []row
	}{
		{"Forming", formationRows()}, {"Idle", idleRows()}, {"Churn", churnRows()},
	} {
		fmt.Fprintf(&b, "| %s |", section.title)
		for _, r := range results {
			fmt.Fprintf(&b, " %d nodes |", r.Config.Nodes)
		}
		b.WriteString(" growth |\n|---|" + strings.Repeat("---:|", len(results)+1) + "\n")
		for _, line := range section.rows {
			line.write(&b, results)
		}
		b.WriteString("\n")
	}
	for _, r := range results {
		fmt.Fprintf(&b, "%d nodes, dials of a node that came to nothing: forming %s; churn %s.\n",
			r.Config.Nodes, reasons(r.Formation.Cost.Failures), reasons(r.Churn.Cost.Failures))
	}
	_, err := io.WriteString(out, b.String())

	return err
}

func (line row) write(b *strings.Builder, results []*Result) {
	fmt.Fprintf(b, "| %s |", line.name)
	for _, r := range results {
		fmt.Fprintf(b, " %s%s |", numbers(line.values(r)), line.unit)
	}
	growth := line.values(results[len(results)-1])
	for i, first := range line.values(results[0]) {
		growth[i] /= first // NaN or infinite if first is zero
	}
	fmt.Fprintf(b, " %s |\n", numbers(growth))
}

func numbers(values []float64) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = number(v)
	}

	return strings.Join(list, " · ")
}

// number formats a value with three digits.
func number(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case v >= 100 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func reasons(failures map[string]float64) string {
	if len(failures) == 0 {
		return "none"
	}
	var list []string
	for _, reason := range slices.Sorted(maps.Keys(failures)) {
		list = append(list, fmt.Sprintf("%s %s", number(failures[reason]), reason))
	}

	return strings.Join(list, ", ")
}

// single returns a row with one value for each result.
func single(name, unit string, of func(*Result) float64) row {
	return row{name: name, unit: unit, values: func(r *Result) []float64 { return []float64{of(r)} }}
}

func seconds(name string, of func(*Result) time.Duration) row {
	return single(name, " s", func(r *Result) float64 { return of(r).Seconds() })
}

func spread(name string, of func(*Result) Spread, per func(*Result) float64) row {
	return row{name: name, values: func(r *Result) []float64 {
		s, n := of(r), per(r)

		return []float64{s.Mean / n, s.Most / n, s.Seed / n}
	}}
}

func once(*Result) float64 { return 1 }

func costRows(of func(*Result) Cost, per func(*Result) float64, list ...quantity) (rows []row) {
	for _, q := range list {
		rows = append(rows, spread(quantityNames[q], func(r *Result) Spread { return of(r).Spent[q] }, per))
	}

	return rows
}

// stateRows returns rows with the state of the nodes at the end of a phase.
func stateRows(of func(*Result) State) []row {
	return []row{
		spread("members of the routing table then", func(r *Result) Spread { return of(r).Table }, once),
		single("… at least", "", func(r *Result) float64 { return of(r).LeastTable }),
		spread("inbound sessions then", func(r *Result) Spread { return of(r).Inbound }, once),
		spread("connections without session then", func(r *Result) Spread { return of(r).Sessionless }, once),
	}
}

func formationRows() []row {
	rows := []row{
		seconds("time until all nodes are one graph", func(r *Result) time.Duration { return r.Formation.Connected }),
		seconds("time until 95 % have filled their outbound slots", func(r *Result) time.Duration { return r.Formation.Most }),
		seconds("time until all have", func(r *Result) time.Duration { return r.Formation.Full }),
	}
	rows = append(rows, costRows(func(r *Result) Cost { return r.Formation.Cost }, once,
		bytesSent, writesSent, tcpDials, walks, queriesSent, queriesServed, hints, sessionsDialed, dialsFailed)...)
	rows = append(rows, spread("TCP connections at once, most of them",
		func(r *Result) Spread { return r.Formation.PeakConns }, once))

	return append(rows, stateRows(func(r *Result) State { return r.Formation.State })...)
}

func idleRows() []row {
	minutes := func(r *Result) float64 { return r.Idle.For.Minutes() }
	rows := costRows(func(r *Result) Cost { return r.Idle.Cost }, minutes,
		bytesSent, writesSent, tcpDials, queriesSent)
	for i := range rows {
		rows[i].name += ", a minute"
	}

	return append(rows, stateRows(func(r *Result) State { return r.Idle.State })...)
}

func churnRows() []row {
	rows := []row{
		single("nodes that left, and joined", "", func(r *Result) float64 { return float64(r.Churn.Left) }),
		single("parts of those that stayed, at worst", "", func(r *Result) float64 { return float64(r.Churn.MostParts) }),
		seconds("time for which these were not one graph", func(r *Result) time.Duration { return r.Churn.Apart }),
		single("part of them with all outbound slots filled, at worst", " %", func(r *Result) float64 {
			return 100 * float64(r.Churn.Fewest) / float64(r.Config.Nodes-r.Churn.Left)
		}),
		seconds("time until all are one graph", func(r *Result) time.Duration { return r.Churn.OneGraph }),
		seconds("time until all have filled their outbound slots", func(r *Result) time.Duration { return r.Churn.Full }),
	}
	rows = append(rows, costRows(func(r *Result) Cost { return r.Churn.Cost }, once,
		bytesSent, writesSent, tcpDials, walks, queriesSent, sessionsDialed, dialsFailed)...)

	return append(rows, stateRows(func(r *Result) State { return r.Churn.State })...)
}
