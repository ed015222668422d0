package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// ignoring takes every message. It has no channel of discovery, on which conform would wait for an answer that never
// comes.
type ignoring struct{ compat.BaseReactor }

func (*ignoring) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: 0x20, Priority: 1}, {ID: 0x21, Priority: 1}, {ID: 0x60, Priority: 1, RecvMessageCapacity: 4096}}
}

func (*ignoring) Receive(byte, compat.PeerConn, []byte) {}

// startJudged starts a node with both stacks.
func startJudged(t *testing.T) string {
	t.Helper()
	const rc = "v1.0.0-rc.0"
	key := types.GenerateNodeKey()
	listen := types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)}
	tr, err := dual.NewTransport(types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "app", Version: "dev"}, {Name: "p2p", Version: rc}},
		NetAddress: &listen, Network: "judged", Version: rc, Channels: []byte{0x20, 0x21, 0x60}, Moniker: "judged",
	}, *key, mconn.DefaultMConnConfig(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(listen))
	reactor := &ignoring{}
	reactor.BaseReactor = *compat.NewBaseReactor("ignoring", reactor)
	sw := adapter.NewMultiplexSwitch(tr, adapter.WithReactor("ignoring", reactor), adapter.WithAllowDuplicateIP(true))
	require.NoError(t, sw.Start())
	t.Cleanup(func() { require.NoError(t, sw.Stop()) })
	addr := tr.NetAddress()

	return addr.String()
}

// TestConform judges a node of both stacks with nothing set but what keeps the test short. There is no report if the
// node is late when it is looked at first; a section of which a case is late is judged again.
func TestConform(t *testing.T) {
	t.Parallel()
	addr := startJudged(t)
	junit := filepath.Join(t.TempDir(), "report.xml")
	sections := []string{"auth", "packets", "sessions"}
	conforms := make(map[string]bool)
	var status int
	var stderr string
	for range attempts {
		var stdout string
		status, stdout, stderr = callUntil(t, func(_ int, stdout, _ string) bool { return stdout == "" },
			"conform", addr, "--quick", "--section", strings.Join(sections, ","), "--channel", "0x60", "--capacity", "4096",
			"--rate", "100", "--patience", "40s", "--json", "--junit", junit)
		var report conform.Report
		require.NoError(t, json.Unmarshal([]byte(stdout), &report), stderr)
		sections = nil
		for _, one := range report.Results {
			switch one.Status {
			case conform.Conforms:
				conforms[one.ID] = true
			case conform.Skipped:
			default:
				require.True(t, late(one), "%+v", one)
				t.Logf("%s was late: %s %s", one.ID, one.Seen, one.Reason)
				sections = append(sections, one.Section)
			}
		}
		if len(sections) == 0 {
			break
		}
	}
	require.Zero(t, status, stderr)
	require.Greater(t, len(conforms), 60)
	xml, err := os.ReadFile(junit)
	require.NoError(t, err)
	require.Contains(t, string(xml), `name="dialing.`)
}

// late reports whether the node may have ended the connection since a handshake took too long. It waits from when it
// has accepted the connection, which may be a second before the case begins.
func late(r conform.Result) bool {
	ended := r.Seen.Outcome == conform.Ends || r.Seen.Outcome == conform.OtherCode

	return r.Status == conform.Failed || ended && r.Seen.After > handshakeTime-time.Second
}

// A node that deviates in a way that is not known gives the exit status of the gravest level.
func TestConformExitStatus(t *testing.T) {
	report := func(levels ...conform.Level) []*conform.Report {
		r := &conform.Report{Results: []conform.Result{{Status: conform.Conforms}}}
		for _, l := range levels {
			r.Results = append(r.Results, conform.Result{CaseInfo: conform.CaseInfo{Level: l}, Status: conform.Deviates})
		}

		return []*conform.Report{{}, r}
	}
	for want, levels := range map[int][]conform.Level{
		0: nil, exitStrict: {conform.Strict}, exitShould: {conform.Strict, conform.Should}, exitMust: {conform.Should, conform.Must},
	} {
		err := judgement(report(levels...))
		require.Equal(t, want == 0, err == nil)
		root := cli.NewRoot("test", "test", &cobra.Command{Use: "judge", RunE: func(*cobra.Command, []string) error { return err }})
		require.Equal(t, want, cli.Execute(t.Context(), root, []string{"judge"}, io.Discard, io.Discard))
	}
	failed := &conform.Report{Counts: map[conform.Status]int{conform.Failed: 2}}
	require.ErrorContains(t, judgement([]*conform.Report{failed}), "2 cases could not be played")
	skipped := &conform.Report{
		Counts: map[conform.Status]int{conform.Skipped: 1}, Results: []conform.Result{{Status: conform.Skipped}},
	}
	require.ErrorContains(t, judgement([]*conform.Report{skipped, {}}), "no case was played")
}

func TestConformRefusesPublicAddresses(t *testing.T) {
	status, _, stderr := call(t, "conform", "8.8.8.8:26656")
	require.Equal(t, cli.ExitFailed, status)
	require.Contains(t, stderr, "--i-operate-this-node")
}

func TestConformUsage(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"conform"}, "ADDRESS is missing"},
		{[]string{"conform", "a:1", "--section", "stz"}, `there is no section "stz"; there are sts, auth`},
		{[]string{"conform", "a:1", "--rate", "0"}, "--rate"},
		{[]string{"conform", "a:1", "--listen", "x"}, "--listen x"},
		{[]string{"conform", "a:1", "--listen-only"}, "--listen-only needs --listen"},
		{[]string{"conform", "a:1", "--channel", "0x50"}, "--channel and --capacity go together"},
		{[]string{"conform", "a:1", "--channel", "0x150", "--capacity", "1"}, "--channel 0x150"},
		{[]string{"conform", "a:1", "--known", "gno-v0"}, "gno-v1.7.1"},
	} {
		status, _, stderr := call(t, tc.args...)
		require.Equal(t, cli.ExitUsage, status, tc.args)
		require.Contains(t, stderr, tc.want)
	}
}

// What a node has chosen is no command for a terminal in JSON either.
func TestConformJSONShowsNoCommandsOfARemote(t *testing.T) {
	cmd := &cobra.Command{}
	var out strings.Builder
	cmd.SetOut(&out)
	result := conform.Result{Status: conform.Failed, Reason: "\u009b31m\u202e"}
	require.NoError(t, (&conformFlags{asJSON: true}).write(cmd, []*conform.Report{{Results: []conform.Result{result}}}))
	require.Contains(t, out.String(), `\u009b31m\u202e`)
	var report conform.Report
	require.NoError(t, json.Unmarshal([]byte(out.String()), &report))
	require.Equal(t, result.Reason, report.Results[0].Reason)
}

// TestCases checks the catalog: names are unique, and each case refers to a section that the page
// has.
func TestCases(t *testing.T) {
	seen := make(map[string]bool)
	pages := make(map[string]string)
	heading := regexp.MustCompile(`^(docs/\w+\.md) §(\d+(?:\.\d+)?)$`)
	for _, c := range allCases() {
		require.False(t, seen[c.ID()], c.ID())
		seen[c.ID()] = true
		require.Contains(t, []conform.Outcome{conform.Accepts, conform.Ends}, c.Want, c.ID())
		require.Contains(t, conform.Levels(), c.Level, c.ID())
		require.NotNil(t, c.Play, c.ID())
		spec := heading.FindStringSubmatch(c.Spec)
		require.NotNil(t, spec, "%s: %s", c.ID(), c.Spec)
		if pages[spec[1]] == "" {
			text, err := os.ReadFile("../../" + spec[1])
			require.NoError(t, err)
			pages[spec[1]] = string(text)
		}
		require.Regexp(t, `(?m)^#+ `+regexp.QuoteMeta(spec[2])+`\.? `, pages[spec[1]], c.ID())
	}
	status, stdout, stderr := call(t, "conform", "--list")
	require.Zero(t, status, stderr)
	require.Equal(t, len(seen), strings.Count(stdout, "\n"))
}

// TestKnownDeviations checks that each known deviation is one of a case, and has a reason.
func TestKnownDeviations(t *testing.T) {
	for _, v := range conform.KnownVersions() {
		k, err := conform.LoadKnown(v)
		require.NoError(t, err)
		require.NoError(t, k.Check(allCases()))
	}
}
