package conform

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a case that plays outcomes, one for each time.
func scripted(name string, level Level, want Outcome, outcomes ...Outcome) Case {
	return Case{Section: "s", Name: name, Title: name, Spec: "docs/x.md §1", Level: level, Want: want,
		Play: func(context.Context, *Target) (Seen, error) {
			if len(outcomes) == 0 {
				return Seen{}, errors.New("not made")
			}
			now := outcomes[0]
			outcomes = outcomes[1:]

			return Seen{Outcome: now}, nil
		}}
}

func run(t *testing.T, honest func(context.Context, *Target) error, o Options, cases ...Case) (*Report, error) {
	t.Helper()

	return Run(t.Context(), NewTarget(netip.AddrPort{}, "", TargetOptions{Rate: MaxRate}), []Suite{{Stack: "test", Cases: cases, Honest: honest}}, o)
}

func accepts(context.Context, *Target) error { return nil }

func statuses(r *Report) map[string]Status {
	all := make(map[string]Status)
	for _, one := range r.Results {
		all[one.ID] = one.Status
	}

	return all
}

func TestStatuses(t *testing.T) {
	known := &Known{Version: "v1", Deviations: []Deviation{
		{Case: "s.known", Outcome: Accepts, Why: "old"}, {Case: "s.gone", Outcome: Accepts, Why: "old"}, {Case: "s.late", Outcome: Accepts, Why: "old"},
		{Case: "s.other", Outcome: Silent, Why: "old"}, {Case: "s.role", Role: Listening, Outcome: Accepts, Why: "old"},
	}}
	r, err := run(t, accepts, Options{Known: known},
		scripted("good", Must, Ends, Ends),
		scripted("busy", Must, Ends, Silent, Ends),
		scripted("bad", Must, Ends, Accepts, Accepts),
		scripted("known", Should, Ends, Accepts),
		scripted("gone", Should, Ends, Ends, Ends),
		scripted("late", Should, Ends, Ends, Accepts),
		scripted("other", Should, Ends, Accepts, Accepts),
		scripted("role", Should, Ends, Accepts, Accepts),
		scripted("failed", Must, Ends),
		scripted("strict", Strict, Ends, Accepts),
	)
	require.NoError(t, err)
	require.Equal(t, map[string]Status{
		"s.good": Conforms, "s.busy": Conforms, "s.bad": Deviates, "s.known": AsKnown, "s.gone": Gone, "s.late": AsKnown,
		"s.other": Deviates, "s.role": Deviates, "s.failed": Failed, "s.strict": Skipped,
	}, statuses(r))
	require.Equal(t, Must, r.Worst())
	require.Equal(t, 1, r.Failures())
	require.Equal(t, "1.3", r.Results[2].Number)
	require.Equal(t, "s.bad", r.Results[2].ID)

	merged := known.Merge(r)
	for _, d := range merged.Deviations {
		require.NotEqual(t, "s.gone", d.Case+string(d.Role), "what is gone in the role that was played is not known any more")
		if d.Case == "s.known" && d.Role != Listening {
			require.Equal(t, "old", d.Why)
		}
	}
}

// A code is judged at its own level, and only when the node ends something.
func TestCodes(t *testing.T) {
	coded := func(name string, seen Seen) Case {
		return Case{Section: "s", Name: name, Level: Must, Want: Ends, Code: &Code{Number: 6, Level: Should},
			Play: func(context.Context, *Target) (Seen, error) { return seen, nil }}
	}
	code := func(n uint64) *uint64 { return &n }
	r, err := run(t, accepts, Options{}, coded("right", Seen{Outcome: Ends, Code: code(6)}), coded("other", Seen{Outcome: Ends, Code: code(2)}),
		coded("none", Seen{Outcome: Ends}))
	require.NoError(t, err)
	require.Equal(t, map[string]Status{"s.right": Conforms, "s.other": Deviates, "s.none": Deviates}, statuses(r))
	require.Equal(t, Should, r.Worst())
	require.Contains(t, r.Results[1].Line(), "expected: ends with code 6")

	r, err = run(t, accepts, Options{}, coded("accepted", Seen{Outcome: Accepts}))
	require.NoError(t, err)
	require.Equal(t, Must, r.Worst())
}

func TestChoice(t *testing.T) {
	slow, risky := scripted("slow", Must, Ends, Ends), scripted("risky", Must, Ends, Ends)
	slow.Slow, risky.Risky = true, "it ends"
	unable := scripted("unable", Must, Ends, Ends)
	unable.Needs = func(*Target) string { return "no channel" }
	listening := scripted("listening", Must, Ends, Ends)
	listening.Roles = []Role{Listening}
	r, err := run(t, accepts, Options{Quick: true}, slow, risky, unable, listening)
	require.NoError(t, err)
	require.Equal(t, map[string]Status{"s.slow": Skipped, "s.risky": Skipped, "s.unable": Skipped}, statuses(r))
	require.Empty(t, r.Worst())

	r, err = run(t, accepts, Options{Risky: true}, slow, risky, unable)
	require.NoError(t, err)
	require.Equal(t, map[string]Status{"s.slow": Conforms, "s.risky": Conforms, "s.unable": Skipped}, statuses(r))
}

// A node that accepts nobody is not judged: it would refuse all that is malformed, too.
func TestNodeThatAcceptsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("banned")
		r, err := run(t, func(context.Context, *Target) error { return cause }, Options{}, scripted("good", Must, Ends, Ends))
		require.ErrorIs(t, err, ErrNotHonest)
		require.ErrorIs(t, err, cause)
		require.Empty(t, r.Results)
	})
}

func TestAddressesThatMayBeTested(t *testing.T) {
	for _, ok := range []string{"127.0.0.1", "127.9.9.9", "10.1.2.3", "192.168.0.1", "::1", "fd00::1", "169.254.1.1"} {
		require.NoError(t, CheckAddr(netip.MustParseAddr(ok)), ok)
	}
	for _, bad := range []string{"8.8.8.8", "2600::1", "192.0.2.1", "0.0.0.0"} {
		require.ErrorIs(t, CheckAddr(netip.MustParseAddr(bad)), ErrForbidden, bad)
	}
}

func TestJUnit(t *testing.T) {
	r, err := run(t, accepts, Options{}, scripted("good", Must, Ends, Ends), scripted("bad", Must, Ends, Accepts, Accepts),
		scripted("failed", Must, Ends), scripted("strict", Strict, Ends, Ends))
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, WriteJUnit(&b, r))
	var read junitSuites
	require.NoError(t, xml.Unmarshal(b.Bytes(), &read))
	require.Len(t, read.Suites, 1)
	s := read.Suites[0]
	require.Equal(t, []int{4, 1, 1, 1}, []int{s.Tests, s.Failures, s.Errors, s.Skipped})
	require.Contains(t, s.Cases[1].Failure.Message, "docs/x.md §1: expected: ends; seen: accepts")
}

func TestKnownFiles(t *testing.T) {
	require.Contains(t, KnownVersions(), "gno-v1.7.1")
	for _, v := range KnownVersions() {
		k, err := LoadKnown(v)
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "known.json")
		require.NoError(t, k.Write(path))
		again, err := LoadKnown(path)
		require.NoError(t, err)
		require.Equal(t, k, again)
	}
	_, err := LoadKnown("gno-v0")
	require.ErrorContains(t, err, "gno-v1.7.1")
	_, err = parseKnown("x", []byte(`{"versions": 1}`))
	require.ErrorContains(t, err, "versions")
	k := &Known{Version: "x", Deviations: []Deviation{{Case: "s.none", Outcome: Ends}}}
	require.ErrorContains(t, k.Check(nil), "there is no case s.none")
}

// An interrupt ends the connections of cases, which is nothing that the node has done.
func TestInterruptIsNoVerdict(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	ended := func(name string, want Outcome) Case {
		return Case{Section: "s", Name: name, Level: Must, Want: want, Play: func(ctx context.Context, _ *Target) (Seen, error) {
			interrupt()
			<-ctx.Done()

			return Seen{Outcome: Ends}, nil
		}}
	}
	r, err := Run(ctx, NewTarget(netip.AddrPort{}, "", TargetOptions{Rate: MaxRate}),
		[]Suite{{Cases: Catalog{ended("ends", Ends), ended("accepts", Accepts)}, Honest: accepts}}, Options{})
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, r.Counts[Conforms]+r.Counts[Deviates])
	require.NotEmpty(t, r.Results)
	for _, one := range r.Results {
		require.Equal(t, Skipped, one.Status)
		require.Contains(t, one.Reason, "interrupted")
	}
}

// No line of what a node has sent looks like a result.
func TestLinesOfResults(t *testing.T) {
	r := Result{CaseInfo: CaseInfo{ID: "s.bad", Title: "bad"}, Status: Deviates, Seen: Seen{Outcome: Ends, Detail: "x\nconforms"}, Reason: "y\nconforms"}
	lines := strings.Split(r.Line(), "\n")
	require.Len(t, lines, 6)
	for _, line := range lines[1:] {
		require.True(t, strings.HasPrefix(line, "          "), line)
	}
}

// The ports of the cases end with the last one that there is.
func TestListenerHasNoPortsLeft(t *testing.T) {
	l := NewListener(netip.MustParseAddrPort("127.0.0.1:65535"), time.Minute, func(string) {})
	_, err := l.reserve(2)
	require.ErrorContains(t, err, "2 cases need as many ports")
}
