package conformance

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
)

// faults are checks of this project, each with a case that finds a node without it.
var faults = []fault{
	{file: "secretconn/identity.go", fn: "checkAuth", check: "if !ed25519.Verify(a.PublicKey[:], challenge[:], a.Signature[:])", find: "auth.wrong-key"},
	{file: "secretconn/identity.go", fn: "checkAuth", check: "if edkey.LowOrder(a.PublicKey[:])", find: "auth.low-order-key"},
	{file: "secretconn/frame.go", fn: "open", check: "if size == 0", find: "frames.auth-empty-inside"},
	{file: "internal/wire/any.go", fn: "typeName", check: "if slash < 0", find: "packets.url-no-slash"},
	{file: "internal/wire/field.go", fn: "uint8", check: "if value > 0xff", find: "packets.eof-256"},
	{file: "internal/wire/field.go", fn: "next", check: "if num == r.num && num != r.repeated", find: "auth.key-twice"},
	{file: "internal/wire/field.go", fn: "next", check: "if num < r.num", find: "auth.fields-swapped"},
	{file: "compat/types/node_info.go", fn: "Validate", check: "if n := len(info.Channels); n > maxNumChannels", find: "nodeinfo.channels-17"},
	{file: "compat/types/node_info.go", fn: "Validate", check: "if slices.Contains(info.Channels[:i], ch)", find: "nodeinfo.channel-twice"},
	{file: "compat/types/node_info.go", fn: "Validate", check: `if (text.required || text.value != "") && !isText(text.value)`, find: "nodeinfo.moniker-tab"},
	{file: "compat/types/node_info.go", fn: "CompatibleWith", check: "if info.Network != other.Network", find: "nodeinfo.network-other"},
	{file: "compat/types/version_set.go", fn: "CompatibleWith", check: "if len(differ) > 0", find: "nodeinfo.versions-major"},
	{file: "adapter/native/nodeinfo.go", fn: "receiveNodeInfo", check: "if have, want := p.node.ID(), p.socket.ID; have != want", find: "nodeinfo.id-other"},
	{file: "adapter/native/handshake.go", fn: "secure", check: "if err := conn.SetDeadline(time.Now().Add(mt.timeout)); err != nil", without: true,
		find: "timing.silent"},
	{file: "mconn/assembler.go", fn: "add", check: "if limit := ch.desc.RecvMessageCapacity; len(p.Payload) > limit-have", find: "channels.capacity-over"},
	{file: "mconn/assembler.go", fn: "add", check: "if len(p.Payload) == 0", find: "packets.message-empty"},
	{file: "mconn/reader.go", fn: "nextPacket", check: "case prefix > limit || length > uint64(limit-prefix)", find: "packets.piece-1037"},
	{file: "adapter/lp2p/handshake.go", fn: "decodeNodeInfo", check: "if node.ID() != id", stack: "libp2p", find: "sessions.id-other"},
	{file: "adapter/lp2p/internal/control/delegation.go", fn: "Verify",
		check: "if !ed25519.Verify(key, DelegationBytes(d.Host, e, dialer, listener, d.Expires), d.Signature[:])", stack: "libp2p",
		find: "sessions.delegation-forged"},
}

// shortFaults are those that CI builds.
const shortFaults = 2

// TestFaultsAreFound builds a node without each check and requires that the case finds it. The
// same cases pass on the whole node (TestOurs).
func TestFaultsAreFound(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	for i, f := range faults {
		t.Run(f.find, func(t *testing.T) {
			dir := t.TempDir()
			overlay, err := f.overlay(root, dir)
			require.NoError(t, err)
			if !full && i >= shortFaults {
				t.Skip("the check is there; CONFORM_FULL=1 builds the node without it")
			}
			node := filepath.Join(dir, "node")
			require.NoError(t, goBuild(node, nodePackage, "-overlay", overlay))
			stack := f.stack
			if stack == "" {
				stack = "native"
			}
			peer := legacy.Start(t, options(legacy.Options{Program: node, Flags: []string{"-stack=" + stack}}))
			section, _, _ := strings.Cut(f.find, ".")
			reports, status := conform(t, peer, "--strict", "--quick", "--section", section)
			require.NotZero(t, status)
			found := false
			for _, r := range reports {
				for _, one := range r.Results {
					found = found || one.Case == f.find && one.Status == "deviates"
				}
			}
			require.True(t, found, "%s: %s", f.file, f.check)
		})
	}
}

// TestFaultThatIsNotThere changes nothing when the source is another one.
func TestFaultThatIsNotThere(t *testing.T) {
	_, err := fault{file: "secretconn/identity.go", fn: "checkAuth", check: "if nothing"}.overlay("../..", t.TempDir())
	require.ErrorIs(t, err, errMismatch)
}
