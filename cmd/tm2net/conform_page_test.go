package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/semver"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
)

const conformancePage = "../../docs/conformance.md"

var update = flag.Bool("update", false, "write docs/conformance.md anew")

// TestConformancePage compares docs/conformance.md with the cases and the known deviations. That
// these are true is checked by interop-tests/conformance.
func TestConformancePage(t *testing.T) {
	page := conformanceText(t)
	if *update {
		require.NoError(t, os.WriteFile(conformancePage, []byte(page), 0o644))
	}
	documented, err := os.ReadFile(conformancePage)
	require.NoError(t, err)
	require.Equal(t, page, string(documented), "go test ./cmd/tm2net -run ConformancePage -update")
}

const conformanceHead = `# Conformance

This page shows how the released versions of gno and the nodes of this project answer the cases of ` + "`tm2net conform`" + ` ([tm2net.md](tm2net.md)).
One command writes it from the cases and the known deviations: ` + "`go test ./cmd/tm2net -run ConformancePage -update`" + `. That they are true is
what ` + "`interop-tests/conformance`" + ` checks: it judges each version as a process, with ` + "`--strict`" + `, in both roles, and fails if a node deviates
otherwise than the page says, or does not any more. CI judges v1.7.1, v1.1.0, the dual node and both sides of the bridge without the slow cases;
` + "`CONFORM_FULL=1 go test -timeout 1h ./interop-tests/conformance`" + ` judges all versions by all cases.

v1.1.0 is not given the three cases that end its process (` + "`--risky`" + `). The native, dual and libp2p nodes of this project and both sides of the
bridge deviate nowhere; native, dual and libp2p nodes are judged in both roles, a node over QUIC and the bridge where they are dialed. A native node is
judged at an address that is not loopback, too, where it lets in one peer of an IP (` + "`TestOneNodePerIP`" + `).

Do the cases find a node that lacks a check? ` + "`interop-tests/conformance/TestFaultsAreFound`" + ` lists FAULTS checks of this project, each with a case that has to find
a node without it; without two of them the node's process ends, and the run names the case. ` + "`CONFORM_FULL=1`" + ` runs a node without each, CI one that
lacks ten of them. A node that lacks the check of ` + "`limits.same-id`" + ` is told from a whole one by no case: it lets a peer's second
connection replace the first, and the case asks only that one of the two stays.
`

// conformanceText is the page.
func conformanceText(t *testing.T) string {
	t.Helper()
	versions := conform.KnownVersions()
	slices.SortFunc(versions, func(a, b string) int {
		return semver.Compare(strings.TrimPrefix(b, "gno-"), strings.TrimPrefix(a, "gno-"))
	})
	known := make(map[string]*conform.Known)
	for _, v := range versions {
		k, err := conform.LoadKnown(v)
		require.NoError(t, err)
		known[v] = k
	}
	var b strings.Builder
	b.WriteString(strings.Replace(conformanceHead, "FAULTS", strconv.Itoa(faults(t)), 1))
	writeSections(&b)
	writeVersions(&b, versions, known)
	writeDeviations(&b, versions, known)

	return b.String()
}

// faults counts the checks whose absence interop-tests/conformance finds.
func faults(t *testing.T) int {
	t.Helper()
	list, err := os.ReadFile("../../interop-tests/conformance/faults_test.go")
	require.NoError(t, err)
	n := strings.Count(string(list), "\t{find: ")
	require.Positive(t, n)

	return n
}

// writeSections counts the cases.
func writeSections(b *strings.Builder) {
	b.WriteString("\n## Cases\n\n| Section | must | should | strict | of them in the listening role, too |\n|---|---|---|---|---|\n")
	for _, name := range allCases().Sections() {
		counts := make(map[conform.Level]int)
		listening := 0
		for _, c := range allCases() {
			if c.Section != name {
				continue
			}
			counts[c.Level]++
			if c.In(conform.Listening) {
				listening++
			}
		}
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d |\n", name, counts[conform.Must], counts[conform.Should], counts[conform.Strict], listening)
	}
	fmt.Fprintf(b, "\nThese are %d cases; `tm2net conform --list` prints each with what is expected.\n", len(allCases()))
}

// deviates tells what a version does in a case, or "".
func deviates(k *conform.Known, c conform.Case) string {
	var parts []string
	for _, d := range k.Deviations {
		if d.Case != c.ID() {
			continue
		}
		text := string(d.Outcome)
		if d.Role != "" && len(c.Roles) > 1 {
			text += " (" + string(d.Role) + ")"
		}
		parts = append(parts, text)
	}

	return strings.Join(parts, ", ")
}

// writeVersions counts the deviating cases of each version.
func writeVersions(b *strings.Builder, versions []string, known map[string]*conform.Known) {
	b.WriteString("\n## Versions\n\nCases in which a version deviates, by level.\n\n| Version | must | should | strict |\n|---|---|---|---|\n")
	for _, v := range versions {
		counts := make(map[conform.Level]int)
		for _, c := range allCases() {
			if deviates(known[v], c) != "" {
				counts[c.Level]++
			}
		}
		fmt.Fprintf(b, "| %s | %d | %d | %d |\n", known[v].Version, counts[conform.Must], counts[conform.Should], counts[conform.Strict])
	}
	b.WriteString("| native, dual, libp2p and bridge of this project | 0 | 0 | 0 |\n")
}

// writeDeviations lists the cases in which any version deviates.
func writeDeviations(b *strings.Builder, versions []string, known map[string]*conform.Known) {
	b.WriteString("\n## Deviations\n\nA cell says what the version does instead of what is expected; an empty one, that it conforms.\n\n")
	b.WriteString("| Case | What comes | Level | Expected |")
	for _, v := range versions {
		fmt.Fprintf(b, " %s |", strings.TrimPrefix(v, "gno-"))
	}
	b.WriteString(" Why |\n|---|---|---|---|" + strings.Repeat("---|", len(versions)) + "---|\n")
	for _, c := range allCases() {
		var cells []string
		why := ""
		for _, v := range versions {
			cells = append(cells, deviates(known[v], c))
			for _, d := range known[v].Deviations {
				if d.Case == c.ID() && why == "" {
					why = d.Why
				}
			}
		}
		if strings.Join(cells, "") == "" {
			continue
		}
		fmt.Fprintf(b, "| `%s` | %s ([%s](%s)) | %s | %s | %s | %s |\n", c.ID(), c.Title,
			strings.TrimPrefix(c.Spec, "docs/"), strings.TrimPrefix(strings.Fields(c.Spec)[0], "docs/"), c.Level, c.Want, strings.Join(cells, " | "), why)
	}
}
