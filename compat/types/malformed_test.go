package types_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

type verdict struct {
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
}

type byteCase struct {
	ID       string                     `json:"id"`
	Kind     string                     `json:"kind"`
	Input    hexBytes                   `json:"input"`
	Text     string                     `json:"text"`
	Decoded  json.RawMessage            `json:"decoded"`
	Verdicts map[string]json.RawMessage `json:"verdicts"`
}

// dialectA reports whether only the version of dialect A judged the case.
func (c byteCase) dialectA() bool { return c.Kind == "node-info" && strings.HasSuffix(c.ID, "_A") }

// judge returns what v1.7.1 said, or dialect A about its own form.
func (c byteCase) judge(tb testing.TB) verdict {
	tb.Helper()

	for _, model := range []string{"all", "all_applicable", "v1.7.1"} {
		raw, ok := c.Verdicts[model]
		if !ok {
			continue
		}

		var v verdict

		require.NoError(tb, json.Unmarshal(raw, &v))
		require.Contains(tb, []string{"accept", "reject"}, v.Verdict)

		return v
	}

	require.Fail(tb, "no verdict", c.ID)

	return verdict{}
}

func loadByteCases(tb testing.TB) []byteCase {
	tb.Helper()

	raw, err := os.ReadFile(malformedFile)
	require.NoError(tb, err)

	var file struct {
		ByteCases []byteCase `json:"byte_cases"`
	}

	require.NoError(tb, json.Unmarshal(raw, &file))
	require.NotEmpty(tb, file.ByteCases)

	return file.ByteCases
}

const lenientA = "dialect A versions are lenient"

// different are the cases in which our verdict is the opposite of the model's.
var different = map[string]string{
	"ni_version_nonascii_A": lenientA,
	"ni_version_spaces_A":   lenientA,
	"ni_moniker_absent_A":   lenientA,
	"ni_moniker_utf8_A":     lenientA,
	"ni_rpc_nonascii_A":     lenientA,
	"ni_chs_17_A":           lenientA,
	"ni_chs_dup_A":          lenientA,
	"ni_other_unknown3_A":   lenientA,
	"ni_vs_unknown4_A":      lenientA,
	"ni_unknown9_A":         lenientA,
	"nk_typed":              "we read the key files of all dialects",
}

// reasons are the errors that must be found for the model's reasons.
var reasons = map[string]error{
	"bad-address":           types.ErrInvalidNetAddress,
	"bad-host-port":         types.ErrInvalidNetAddress,
	"bad-port":              types.ErrInvalidNetAddress,
	"bad-node-id":           types.ErrInvalidID,
	"host-name-not-allowed": types.ErrHostnameNotIP,
	"bad-moniker":           types.ErrInvalidMoniker,
	"bad-version-string":    types.ErrInvalidVersion,
	"bad-rpc-address":       types.ErrInvalidRPCAddress,
	"duplicate-channel":     types.ErrDuplicateChannels,
	"network-mismatch":      types.ErrIncompatibleNetworks,
	"no-common-channel":     types.ErrNoCommonChannels,
	"version-set-mismatch":  types.ErrIncompatibleVersions,
	"unspecified-ip":        types.ErrUnspecifiedIP,
	"forbidden-ip":          types.ErrInvalidIP,
	"public-half-zero":      types.ErrInvalidNodeKey,

	"declared-size-over-limit": wire.ErrTooLarge,
}

// otherReasons give the same error as a near relative.
var otherReasons = map[string]error{
	"ni_crossdialect_BC": types.ErrBareNodeID,
	// Dialect A compares before it checks the form of the id.
	"ni_no_addr_A":        types.ErrInvalidID,
	"ni_addr_empty_A":     types.ErrInvalidID,
	"ni_id_badchecksum_A": types.ErrInvalidID,
}

// otherKinds are cases for other packages.
var otherKinds = map[string]string{
	"sts-ephemeral":    "internal/wire",
	"sts-auth-message": "internal/wire",
	"packet-stream":    "internal/wire",
	"sealed-frames":    "secretconn",
}

var deciders = map[string]func(t *testing.T, c byteCase) error{
	"node-info":         decideNodeInfo,
	"discovery-message": decideDiscovery,
	"node-key-file":     decideNodeKey,
}

func TestByteCases(t *testing.T) {
	ran := map[string]int{}
	usedDifferent := 0

	for _, c := range loadByteCases(t) {
		if otherKinds[c.Kind] != "" {
			continue
		}

		decide, ok := deciders[c.Kind]
		require.True(t, ok, "kind %q of %s is not covered", c.Kind, c.ID)

		ran[c.Kind]++

		t.Run(c.ID, func(t *testing.T) {
			var (
				model      = c.judge(t)
				accept     = model.Verdict == "accept"
				err        = decide(t, c)
				reason, is = different[c.ID]
			)

			if is {
				usedDifferent++
				accept = !accept
			}

			if accept {
				require.NoError(t, err, "%s %s", model.Reason, reason)

				return
			}

			require.Error(t, err, "%s %s", model.Reason, reason)

			want := reasons[model.Reason]
			if other, ok := otherReasons[c.ID]; ok {
				want = other
			}

			if want != nil {
				require.ErrorIs(t, err, want)
			}
		})
	}

	require.Len(t, ran, len(deciders), "a kind without cases")
	require.Equal(t, len(different), usedDifferent)
}

// localInfo is the node against which the cases were judged.
func localInfo(tb testing.TB) types.NodeInfo {
	tb.Helper()

	const rc = "v1.0.0-rc.0"

	id := loadVectors(tb).NodeKeys[1].NodeID
	address, err := types.NewNetAddress(id, tcpAddr("0.0.0.0", 26656))
	require.NoError(tb, err)

	info := types.NodeInfo{
		VersionSet: types.VersionSet{
			{Name: "abci", Version: rc},
			{Name: "app", Version: "dev"},
			{Name: "bft", Version: rc},
			{Name: "blockchain", Version: rc},
			{Name: "p2p", Version: rc},
		},
		NetAddress: address,
		Network:    "wire-1",
		Channels:   []byte{0x40, 0x20, 0x21, 0x22, 0x23, 0x30, 0x50},
		Moniker:    "local",
	}
	require.NoError(tb, info.Validate())

	return info
}

var errNotAuthenticated = errors.New("id does not match the key")

// decideNodeInfo does what a node does with a remote's NodeInfo, in the order of
// docs/wire.md §4.3.
func decideNodeInfo(t *testing.T, c byteCase) error {
	body, err := wire.ReadSized(bytes.NewReader(c.Input), types.MaxNodeInfoSize)
	if err != nil {
		return err
	}

	var info types.NodeInfo

	if c.dialectA() {
		err = info.UnmarshalDialectA(body, tcpAddr("1.2.3.4", 5))
	} else {
		err = info.UnmarshalBinary(body)
	}

	if err != nil {
		return err
	}

	if err := info.Validate(); err != nil {
		return err
	}

	if remote := loadVectors(t).NodeKeys[0].NodeID; info.ID() != remote {
		return errNotAuthenticated
	}

	return localInfo(t).CompatibleWith(info)
}

func decideDiscovery(t *testing.T, c byteCase) error {
	texts, request, err := wire.DecodeDiscovery(c.Input)
	if err != nil || request {
		return err
	}

	parsed := make([]string, 0, len(texts))

	for _, text := range texts {
		na, err := types.ParseNetAddress(text)
		if err != nil {
			return err
		}

		if err := na.Validate(); err != nil {
			return err
		}

		parsed = append(parsed, na.String())
	}

	var want []string

	require.NoError(t, json.Unmarshal(c.Decoded, &want))
	require.Equal(t, want, parsed)

	return nil
}

func decideNodeKey(t *testing.T, c byteCase) error {
	path := t.TempDir() + "/node_key.json"
	require.NoError(t, os.WriteFile(path, []byte(c.Text), 0o600))

	key, err := types.LoadNodeKey(path)
	if err != nil {
		require.ErrorIs(t, err, types.ErrInvalidNodeKey)

		return err
	}

	if want := loadVectors(t).NodeKeys[0].NodeID; key.ID() != want {
		return fmt.Errorf("id %s instead of %s", key.ID(), want)
	}

	return nil
}
