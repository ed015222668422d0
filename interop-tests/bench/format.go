package main

import (
	"math"
	"strconv"
)

// metricText is the title and the unit of a metric in the table.
type metricText struct{ title, unit string }

var metricTexts = map[string]metricText{
	rate:        {"rate", "MB/s"},
	messages:    {"messages", "/s"},
	cpuPerGB:    {"CPU, both sides", "s/GB"},
	allocs:      {"allocations a message, both sides", ""},
	p50:         {"p50", "µs"},
	p99:         {"p99", "µs"},
	delivered:   {"delivered", "/s"},
	hubCPU:      {"hub CPU a message", "µs"},
	connections: {"connections", "/s"},
	heap:        {"heap a peer", "KiB"},
	goroutines:  {"goroutines a peer", ""},
}

func metricOf(name string) metricText { return metricTexts[name] }

// value formats the median of values. It returns "" when there are none.
func (m metricText) value(values []float64) string {
	if len(values) == 0 {
		return ""
	}

	return m.withUnit(median(values))
}

func (m metricText) withUnit(v float64) string {
	switch m.unit {
	case "":
		return number(v)
	case "/s":
		return number(v) + m.unit
	default:
		return number(v) + " " + m.unit
	}
}

// bound formats the bound of a check without a reference.
func (m metricText) bound(c check) string {
	switch {
	case c.atLeast > 0:
		return "≥ " + m.withUnit(c.atLeast)
	case c.atMost > 0:
		return "≤ " + m.withUnit(c.atMost)
	default:
		return ""
	}
}

func (c check) ratioBound() string {
	switch {
	case c.atLeast > 0:
		return "≥ " + c.ratio(c.atLeast)
	case c.atMost > 0:
		return "≤ " + c.ratio(c.atMost)
	default:
		return ""
	}
}

// ratio formats a ratio as a multiple, or as a fraction when the bound is a fraction.
func (c check) ratio(v float64) string {
	if c.atMost > 0 && c.atMost < 1 && v > 0 && v < 1 {
		return "1/" + number(1/v)
	}

	return number(v) + "x"
}

// number formats a value with three significant digits. Below 10000 it keeps all digits
// before the point.
func number(v float64) string {
	switch abs := math.Abs(v); {
	case abs >= 1e6:
		return digits(v/1e6) + "M"
	case abs >= 1e4:
		return digits(v/1e3) + "k"
	case abs < 0.001:
		return "0"
	default:
		return digits(v)
	}
}

func digits(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}

	return strconv.FormatFloat(v, 'g', 3, 64)
}
