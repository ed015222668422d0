package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
)

// report is what tm2net conform --json prints, as far as the tests look at it.
type report struct {
	Role    string         `json:"role"`
	Counts  map[string]int `json:"counts"`
	Results []result       `json:"results"`
}

type result struct {
	Case    string `json:"case"`
	Section string `json:"section"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Seen    struct {
		Outcome string        `json:"outcome"`
		Detail  string        `json:"detail"`
		After   time.Duration `json:"after_ns"`
	} `json:"seen"`
}

const (
	// attempts is how often a node is judged that was late.
	attempts = 5
	// lateAfter is a second less than nodes give each step of a handshake, since a node waits from when it has accepted
	// a connection, and a case counts from a little later.
	lateAfter = 2 * time.Second
)

// late reports whether the node may have been too busy: it ended the connection since a handshake took too long, and so
// seems to refuse what it accepts; or it said nothing in time; or the case did not come about.
func (r result) late() bool {
	switch r.Seen.Outcome {
	case "ends", "code", "silent":
		return r.Seen.After > lateAfter
	default:
		return r.Status == "failed"
	}
}

// conform judges a peer, and returns the reports and the exit status. The peer dials what the
// program asks for. A node that answered too late when it was looked at first is looked at again.
func conform(t *testing.T, peer *legacy.Peer, args ...string) (reports []report, status int) {
	t.Helper()
	var log string
	for range attempts {
		if reports, status, log = conformOnce(t, peer, args...); len(reports) > 0 {
			return reports, status
		}
	}
	require.Fail(t, "there is no report", log)

	return nil, status
}

func conformOnce(t *testing.T, peer *legacy.Peer, args ...string) (reports []report, status int, told string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program("tm2net"), append([]string{"conform", peer.Addr(), "--json", "--rate", "100"}, args...)...)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var log strings.Builder
	var reading sync.WaitGroup
	reading.Go(func() { dialWhatIsAsked(peer, io.TeeReader(stderr, &log)) })
	reading.Wait()
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "conforms") {
			t.Log(strings.TrimSpace(line))
		}
	}
	for d := json.NewDecoder(&stdout); d.More(); {
		var r report
		require.NoError(t, d.Decode(&r), log.String())
		reports = append(reports, r)
	}

	return reports, cmd.ProcessState.ExitCode(), log.String()
}

// dialWhatIsAsked reads what tm2net writes, and makes the peer dial the addresses in it.
func dialWhatIsAsked(peer *legacy.Peer, log io.Reader) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, list, found := strings.Cut(lines.Text(), `persistent_peers = "`)
		if !found {
			continue
		}
		for _, addr := range strings.Split(strings.TrimSuffix(list, `"`), ",") {
			peer.Dial(addr)
		}
	}
}

// options are those of every peer that is judged: it lets in several peers of one IP, and has the
// channels of a real node.
func options(o legacy.Options) legacy.Options {
	o.AllowDuplicateIP, o.Discovery, o.LogLevel = true, true, "ERROR"
	o.Channels = []byte{0x20, 0x21, 0x22, 0x23, 0x30, 0x40}

	return o
}

func levels() []string {
	if full {
		return []string{"--strict"}
	}

	return []string{"--strict", "--quick"}
}

// requireKnown judges a peer and requires that nothing but what is known is seen, in each role. It judges the sections
// again in which the peer was late. It returns the first reports.
func requireKnown(t *testing.T, peer *legacy.Peer, roles int, args ...string) []report {
	t.Helper()
	first, status := conform(t, peer, args...)
	require.Len(t, first, roles)
	for _, r := range first {
		require.NotZero(t, r.Counts["conforms"])
	}
	sections := sectionsAgain(t, first)
	for n := 1; n < attempts && len(sections) > 0; n++ {
		var reports []report
		reports, status = conform(t, peer, append(slices.Clone(args), "--section", strings.Join(sections, ","))...)
		require.Len(t, reports, roles)
		sections = sectionsAgain(t, reports)
	}
	require.Empty(t, sections, "the peer was late each time")
	require.Zero(t, status)

	return first
}

// sectionsAgain returns the sections of the cases in which a peer was late, and fails the test if it deviates otherwise.
func sectionsAgain(t *testing.T, reports []report) (sections []string) {
	t.Helper()
	for _, r := range reports {
		for _, one := range r.Results {
			switch one.Status {
			case "conforms", "known", "skipped":
				continue
			}
			text := fmt.Sprintf("%s, %s: %s: %s %s %s", one.Case, r.Role, one.Status, one.Seen.Outcome, one.Seen.Detail, one.Reason)
			require.True(t, one.late(), text)
			t.Log("late:", text)
			if !slices.Contains(sections, one.Section) {
				sections = append(sections, one.Section)
			}
		}
	}

	return sections
}

// TestReleases judges the releases of gno. v1.1.0 does not survive the risky cases.
func TestReleases(t *testing.T) {
	t.Parallel()
	require.NoError(t, buildVersions())
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			peer := legacy.Start(t, options(legacy.Options{Version: version}))
			args := append(levels(), "--known", "gno-"+version, "--listen", "127.0.0.1:0", "--max-inbound", maxInbound)
			if version != legacy.V1_1_0 {
				args = append(args, "--risky")
			}
			requireKnown(t, peer, 2, args...)
		})
	}
}

// ours are the nodes of this project, and how each is judged.
var ours = map[string]struct {
	args  []string
	roles int
	full  bool // only with CONFORM_FULL
}{
	"dual":          {args: []string{"--listen", "127.0.0.1:0", "--max-inbound", maxInbound}, roles: 2},
	"bridge":        {args: []string{"--network", "interop"}, roles: 1},
	"bridge-libp2p": {args: []string{"--network", "interop"}, roles: 1},
	"native":        {args: []string{"--listen", "127.0.0.1:0", "--max-inbound", maxInbound}, roles: 2, full: true},
	"libp2p":        {args: []string{"--listen", "127.0.0.1:0"}, roles: 2, full: true},
	"quic":          {args: []string{"--quic"}, roles: 1, full: true},
}

// maxInbound is that of the programs, of gno and of this project.
const maxInbound = "100"

// TestOurs judges the nodes of this project: they deviate nowhere. A dual node is judged by the cases
// of a native and of a libp2p one, so that CI need not judge these.
func TestOurs(t *testing.T) {
	t.Parallel()
	for stack, as := range ours {
		t.Run(stack, func(t *testing.T) {
			if as.full && !full {
				t.Skip("the dual node is judged by the same cases; CONFORM_FULL=1 judges this one")
			}
			t.Parallel()
			peer := legacy.Start(t, options(legacy.Options{Program: program("node"), Flags: []string{"-stack=" + stack}}))
			requireKnown(t, peer, as.roles, append(append(levels(), "--risky"), as.args...)...)
		})
	}
}

// TestOneNodePerIP judges a node at an address that is not loopback, at its defaults: one peer of an IP
// is let in.
func TestOneNodePerIP(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	o := options(legacy.Options{Program: program("node"), Listen: "10.1.2.3:0"})
	o.AllowDuplicateIP = false
	reports := requireKnown(t, legacy.Start(t, o), 1, "--quick", "--section", "limits", "--one-per-ip")
	require.Contains(t, statuses(reports[0]), "limits.one-per-ip conforms")
}

func statuses(r report) []string {
	var all []string
	for _, one := range r.Results {
		all = append(all, one.Case+" "+one.Status)
	}

	return all
}
