package tomlvalue

import "strings"

// maxTypos is how many letters may differ between a name and the one that Closest suggests.
const maxTypos = 3

// Closest returns the name that is most like a mistyped one, or nothing if none is like it.
func Closest(mistyped string, names []string) (closest string) {
	best := min(maxTypos, len(mistyped)/2) + 1
	for _, name := range names {
		if d := distance(strings.ToLower(mistyped), name); d < best {
			best, closest = d, name
		}
	}

	return closest
}

// distance counts the letters to insert, delete or replace between two words, or to swap with
// their neighbours (restricted Damerau-Levenshtein).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}

	return last[len(b)]
}
