package main

import (
	"fmt"
	"slices"
	"strings"
)

// around is how many lines that stay stand around a change.
const around = 3

// diffLine is a line of a diff; op is ' ', '-' or '+'.
type diffLine struct {
	op   byte
	text string
}

// unifiedDiff returns the difference of two versions of a file, in the format of diff -u.
func unifiedDiff(name, former, after string) string {
	lines := diffLines(slices.Collect(strings.Lines(former)), slices.Collect(strings.Lines(after)))
	var b strings.Builder
	fmt.Fprintf(&b, "--- a/%s\n+++ b/%s\n", name, name)
	oldLine, newLine := 1, 1
	for i := 0; i < len(lines); {
		first, end := nextHunk(lines, i)
		if first == end {
			break
		}
		oldLine, newLine = oldLine+count(lines[i:first], '-'), newLine+count(lines[i:first], '+')
		hunk := lines[first:end]
		fmt.Fprintf(&b, "@@ -%d,%d +%d,%d @@\n", oldLine, count(hunk, '-'), newLine, count(hunk, '+'))
		for _, l := range hunk {
			b.WriteByte(l.op)
			b.WriteString(strings.TrimSuffix(l.text, "\n"))
			b.WriteByte('\n')
		}
		oldLine, newLine = oldLine+count(hunk, '-'), newLine+count(hunk, '+')
		i = end
	}

	return b.String()
}

// nextHunk returns where the first hunk at or after i begins and ends: changes that are close
// to each other, with the lines around them. Without a change, first and end are equal.
func nextHunk(lines []diffLine, i int) (first, end int) {
	change := i
	for change < len(lines) && lines[change].op == ' ' {
		change++
	}
	if change == len(lines) {
		return i, i
	}
	last := change
	for at := change; at < len(lines) && at <= last+2*around; at++ {
		if lines[at].op != ' ' {
			last = at
		}
	}

	return max(i, change-around), min(len(lines), last+1+around)
}

// count returns how many lines the version has from which op removes, or to which it adds.
func count(lines []diffLine, op byte) (n int) {
	for _, l := range lines {
		if l.op == ' ' || l.op == op {
			n++
		}
	}

	return n
}

// diffLines returns the lines of both versions in order, by their longest common
// subsequence. It takes time and memory for each pair of lines, which is little for a file
// of some thousand.
func diffLines(former, after []string) (lines []diffLine) {
	common := make([][]int32, len(former)+1)
	for i := range common {
		common[i] = make([]int32, len(after)+1)
	}
	for i := len(former) - 1; i >= 0; i-- {
		for j := len(after) - 1; j >= 0; j-- {
			if former[i] == after[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(former) || j < len(after) {
		switch {
		case i < len(former) && j < len(after) && former[i] == after[j]:
			lines = append(lines, diffLine{' ', former[i]})
			i, j = i+1, j+1
		case j == len(after) || i < len(former) && common[i+1][j] >= common[i][j+1]:
			lines = append(lines, diffLine{'-', former[i]})
			i++
		default:
			lines = append(lines, diffLine{'+', after[j]})
			j++
		}
	}

	return lines
}
