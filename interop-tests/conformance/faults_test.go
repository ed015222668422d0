package conformance

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
)

// faults are checks of this project, each with a case that finds a node without it.
var faults = []fault{
	{find: "sts.low-order-zero", checks: never("secretconn/ephemeral.go", "agree", "if err != nil"), also: []string{
		"sts.low-order-one", "sts.low-order-order-eight", "sts.low-order-other", "sts.low-order-p-1", "sts.low-order-p", "sts.low-order-p+1",
		"sts.low-order-high-bit", "sts.low-order-eight-high-bit",
	}},
	{find: "sts.reflected", checks: never("secretconn/ephemeral.go", "agree",
		"if unmarked(remote) == unmarked(e.pub)")},
	{find: "sts.field-2", checks: never("internal/wire/ephemeral.go", "decodeOnlyKey",
		"if r.num != onlyKey")},
	{find: "auth.wrong-key", checks: never("secretconn/identity.go", "checkAuth",
		"if !ed25519.Verify(a.PublicKey[:], challenge[:], a.Signature[:])")},
	{find: "auth.low-order-key", checks: never("secretconn/identity.go", "checkAuth",
		"if edkey.LowOrder(a.PublicKey[:])")},
	{find: "frames.auth-empty-inside", checks: never("secretconn/frame.go", "open",
		"if size == 0")},
	{find: "packets.url-no-slash", checks: never("internal/wire/any.go", "typeName",
		"if slash < 0")},
	{find: "packets.eof-256", checks: never("internal/wire/field.go", "uint8",
		"if value > 0xff")},
	{find: "auth.key-twice", checks: never("internal/wire/field.go", "next",
		"if num == r.num && num != r.repeated")},
	{find: "auth.fields-swapped", checks: never("internal/wire/field.go", "next",
		"if num < r.num")},
	{find: "nodeinfo.channels-17", checks: never("compat/types/node_info.go", "Validate",
		"if n := len(info.Channels); n > maxNumChannels")},
	{find: "nodeinfo.channel-twice", checks: never("compat/types/node_info.go", "Validate",
		"if slices.Contains(info.Channels[:i], ch)")},
	{find: "nodeinfo.moniker-tab", checks: never("compat/types/node_info.go", "Validate",
		`if (text.required || text.value != "") && !isText(text.value)`)},
	{find: "nodeinfo.network-other", checks: never("compat/types/node_info.go", "CompatibleWith",
		"if info.Network != other.Network")},
	{find: "nodeinfo.versions-major", checks: never("compat/types/version_set.go", "CompatibleWith",
		"if len(differ) > 0")},
	{find: "nodeinfo.id-other", checks: never("adapter/native/nodeinfo.go", "receiveNodeInfo",
		"if have, want := p.node.ID(), p.socket.ID; have != want")},
	{find: "timing.silent", checks: without("adapter/native/handshake.go", "secure",
		"if err := conn.SetDeadline(time.Now().Add(mt.timeout)); err != nil")},
	{find: "channels.capacity-over", checks: never("mconn/assembler.go", "add",
		"if limit := ch.desc.RecvMessageCapacity; len(p.Payload) > limit-have")},
	{find: "packets.message-empty", checks: never("mconn/assembler.go", "add",
		"if len(p.Payload) == 0")},
	{find: "packets.piece-1037", checks: never("mconn/reader.go", "nextPacket",
		"case prefix > limit || length > uint64(limit-prefix)")},
	{find: "sessions.id-other", stack: "libp2p", checks: never("adapter/lp2p/handshake.go", "decodeNodeInfo",
		"if node.ID() != id")},
	{find: "sessions.delegation-forged", stack: "libp2p", checks: never("adapter/lp2p/internal/control/delegation.go", "Verify",
		"if !ed25519.Verify(key, DelegationBytes(d.Host, e, dialer, listener, d.Expires), d.Signature[:])")},
	{find: "nodeinfo.wrong-node", listen: true, checks: append(
		never("adapter/native/handshake.go", "secure", "if dialed != nil && dialed.ID != id"),
		never("adapter/dial.go", "dialAndReserve", "if conn.ID() != t.addr.ID")...)},
	{find: "nodeinfo.declared-2-63", ends: true, checks: never("internal/wire/sized.go", "ReadSized",
		"if max < prefixLen || size > uint64(max-prefixLen)")},
	{find: "sessions.epoch-in-use", stack: "libp2p", ends: true, checks: never("adapter/lp2p/sessions.go", "reserve",
		"if _, used := ss.entries[key]; used")},
	{find: "sessions.stream-twice", stack: "libp2p", checks: never("adapter/lp2p/channel_in.go", "attach",
		"if s.inbound[channel] != nil")},
	{find: "sessions.message-over", stack: "libp2p", checks: never("adapter/lp2p/channel_in.go", "length",
		"case v > uint64(c.desc.RecvMessageCapacity)")},
	{find: "sessions.version-unknown", stack: "libp2p", checks: never("adapter/lp2p/pending.go", "readHello",
		"if h.Version != control.Version && h.Version != control.HostVersion")},
	{find: "sessions.message-empty", stack: "libp2p", checks: never("adapter/lp2p/channel_in.go", "length",
		"case v == 0")},
}

// together are faults that do not hide each other, on both stacks.
var together = []string{
	"auth.wrong-key", "auth.low-order-key", "frames.auth-empty-inside", "packets.url-no-slash", "packets.message-empty", "nodeinfo.channels-17",
	"sessions.id-other", "sessions.delegation-forged", "sessions.stream-twice", "sessions.message-over",
}

// exitEnded is the exit status of tm2net conform for a node that has ended.
const exitEnded = 6

// TestFaultsAreFound runs a node without each check and requires that the case finds it. The same
// cases pass on the whole node (TestOurs).
func TestFaultsAreFound(t *testing.T) {
	for _, f := range faults {
		t.Run(f.find, func(t *testing.T) {
			if !full {
				t.Skip("CONFORM_FULL=1 runs the node without this check alone")
			}
			t.Parallel()
			stack := f.stack
			if stack == "" {
				stack = "native"
			}
			requireFound(t, stack, f)
		})
	}
}

// TestFaultsAreFoundTogether runs one node without several checks, which costs less.
func TestFaultsAreFoundTogether(t *testing.T) {
	t.Parallel()
	var chosen []fault
	for _, f := range faults {
		if slices.Contains(together, f.find) {
			chosen = append(chosen, f)
		}
	}
	require.Len(t, chosen, len(together))
	requireFound(t, "dual", chosen...)
}

// faulty builds the node that has the faults of its environment, once.
var faulty = sync.OnceValues(func() (path string, err error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	over, err := overlay(faults, root, programs)
	if err != nil {
		return "", err
	}

	return program("faulty"), goBuild(program("faulty"), nodePackage, "-overlay", over)
})

// requireFound requires that the cases of the faults find them all in a node without the checks.
func requireFound(t *testing.T, stack string, faults ...fault) {
	t.Helper()
	node, err := faulty()
	require.NoError(t, err)
	o := options(legacy.Options{Program: node, Flags: []string{"-stack=" + stack}})
	var sections []string
	ends, listen := false, false
	for _, f := range faults {
		o.Env = append(o.Env, f.env()+"=1")
		ends, listen = ends || f.ends, listen || f.listen
		section, _, _ := strings.Cut(f.find, ".")
		sections = append(sections, section)
	}
	peer := legacy.Start(t, o)
	args := []string{"--strict", "--quick", "--section", strings.Join(sections, ",")}
	if listen {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	reports, status := conform(t, peer, args...)
	require.NotZero(t, status)
	for n := 1; n < attempts && lateAll(t, missed(faults, reports), reports); n++ {
		more, _ := conform(t, peer, args...)
		reports = append(reports, more...)
	}
	for _, f := range faults {
		require.Empty(t, f.missed(reports), "cases that do not find a node without %v", f.checks)
	}
	if ends {
		require.Equal(t, exitEnded, status)
		peer.AwaitExit()
	}
}

// missed returns the cases that have found their faults in none of the reports.
func missed(faults []fault, reports []report) (cases []string) {
	for _, f := range faults {
		cases = append(cases, f.missed(reports)...)
	}

	return cases
}

// lateAll reports whether there are such cases, and the node was late in each when it was judged last: it ended what it
// would have accepted.
func lateAll(t *testing.T, cases []string, reports []report) bool {
	t.Helper()
	for _, name := range cases {
		var last result
		for _, r := range reports {
			if i := slices.IndexFunc(r.Results, func(one result) bool { return one.Case == name }); i >= 0 {
				last = r.Results[i]
			}
		}
		if !last.late() {
			return false
		}
		t.Logf("late: %s: %s %s", name, last.Status, last.Seen.Outcome)
	}

	return len(cases) > 0
}

// TestFaultThatIsNotThere changes nothing when the source is another one.
func TestFaultThatIsNotThere(t *testing.T) {
	_, err := overlay([]fault{{checks: never("secretconn/identity.go", "checkAuth", "if nothing")}}, "../..", t.TempDir())
	require.ErrorIs(t, err, errMismatch)
}
