package wire_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
	Decoded  json.RawMessage            `json:"decoded"`
	Verdicts map[string]json.RawMessage `json:"verdicts"`
}

// reference returns the verdict of v1.7.1 on the case or, when v1.7.1 does not
// know the form, the verdict of a version of dialect A or B.
func (c byteCase) reference(tb testing.TB) verdict {
	tb.Helper()

	models := []string{"all", "all_applicable", "v1.7.1"}
	if strings.HasPrefix(c.ID, "authAB_") {
		models = []string{"all", "47395b1a (2025-02-07)"}
	}

	for _, model := range models {
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

	raw, err := os.ReadFile("testdata/malformed.json")
	require.NoError(tb, err)

	var file struct {
		ByteCases []byteCase `json:"byte_cases"`
	}

	require.NoError(tb, json.Unmarshal(raw, &file))
	require.NotEmpty(tb, file.ByteCases)

	return file.ByteCases
}

// laterReasons are the refusals of the layers above. Such an input decodes.
var laterReasons = map[string]bool{
	"low-order-key":         true,
	"bad-address":           true,
	"bad-host-port":         true,
	"bad-moniker":           true,
	"bad-node-id":           true,
	"bad-port":              true,
	"bad-rpc-address":       true,
	"bad-version-string":    true,
	"duplicate-channel":     true,
	"host-name-not-allowed": true,
	"id-not-matching-key":   true,
	"network-mismatch":      true,
	"no-common-channel":     true,
	"version-set-mismatch":  true,
	"forbidden-ip":          true,
	"unspecified-ip":        true,
}

// stricter names the cases that the reference decodes and this package refuses.
var stricter = map[string]string{
	"eph_prefix_overflow": "a prefix above 64 bits is an error, not the length 0",
	"ni_other_unknown3_A": "dialect A versions are lenient: they skip unknown fields",
	"ni_vs_unknown4_A":    "dialect A versions are lenient: they skip unknown fields",
	"ni_unknown9_A":       "dialect A versions are lenient: they skip unknown fields",
}

// otherKinds are cases for other packages.
var otherKinds = map[string]string{
	"sealed-frames": "secretconn",
	"node-key-file": "compat/types",
}

// deciders decode an input of one kind and compare it with the decoded value in
// the file, if any.
var deciders = map[string]func(t *testing.T, c byteCase) error{
	"sts-ephemeral":     decideEphemeral,
	"sts-auth-message":  decideAuth,
	"node-info":         decideNodeInfo,
	"packet-stream":     decidePackets,
	"discovery-message": decideDiscovery,
}

func TestByteCases(t *testing.T) {
	ran := map[string]int{}
	usedStricter := 0

	for _, c := range loadByteCases(t) {
		if otherKinds[c.Kind] != "" {
			continue
		}

		decide, ok := deciders[c.Kind]
		require.True(t, ok, "kind %q of %s is not covered", c.Kind, c.ID)

		ran[c.Kind]++

		t.Run(c.ID, func(t *testing.T) {
			want := c.reference(t)
			accept := want.Verdict == "accept" || laterReasons[want.Reason]
			err := decide(t, c)

			if reason, ok := stricter[c.ID]; ok {
				usedStricter++

				require.True(t, accept, "listed as stricter, but the model refuses it too")
				require.Error(t, err, reason)

				return
			}

			if accept {
				require.NoError(t, err, "reason of the model: %q", want.Reason)
			} else {
				require.Error(t, err, "reason of the model: %q", want.Reason)
			}
		})
	}

	require.Len(t, ran, len(deciders), "a kind without cases")
	require.Equal(t, len(stricter), usedStricter)
}

// readOne reads the only sized message of an input.
func readOne(input []byte, max int) ([]byte, error) {
	return wire.ReadSized(bytes.NewReader(input), max)
}

func decideEphemeral(t *testing.T, c byteCase) error {
	b, err := readOne(c.Input, maxHandshake)
	if err != nil {
		return err
	}

	key, err := wire.DecodeEphemeral(b)
	if err == nil && c.Decoded != nil {
		var want string

		require.NoError(t, json.Unmarshal(c.Decoded, &want))
		require.Equal(t, want, hex.EncodeToString(key[:]))
	}

	return err
}

// decideAuth also verifies the signature, since the recorded verdicts do.
func decideAuth(t *testing.T, c byteCase) error {
	b, err := readOne(c.Input, maxHandshake)
	if err != nil {
		return err
	}

	a, err := wire.DecodeAuth(b)
	if err != nil {
		return err
	}

	require.Equal(t, strings.HasPrefix(c.ID, "authAB_"), a.Form == wire.AuthTyped)

	challenge := loadVectors(t).KeySchedule[0].Challenge
	require.True(t, ed25519.Verify(a.PublicKey[:], challenge, a.Signature[:]))

	if c.Decoded != nil {
		var want struct {
			Key string `json:"key"`
			Sig string `json:"sig"`
		}

		require.NoError(t, json.Unmarshal(c.Decoded, &want))
		require.Equal(t, want.Key, hex.EncodeToString(a.PublicKey[:]))
		require.Equal(t, want.Sig, hex.EncodeToString(a.Signature[:]))
	}

	return nil
}

func decideNodeInfo(_ *testing.T, c byteCase) error {
	b, err := readOne(c.Input, maxNodeInfo)
	if err != nil {
		return err
	}

	_, err = wire.DecodeNodeInfo(b)

	return err
}

func decidePackets(t *testing.T, c byteCase) error {
	var (
		packets []wire.Packet
		r       = bytes.NewReader(c.Input)
	)

	for {
		b, err := wire.ReadSized(r, maxPacket)
		if err == io.EOF {
			break
		}

		if err != nil {
			return err
		}

		p, err := wire.DecodePacket(b)
		if err != nil {
			return err
		}

		packets = append(packets, p)
	}

	requirePackets(t, c, packets)

	return nil
}

// requirePackets compares packets with those in the file, a list of names and
// {bytes, ch, eof} objects.
func requirePackets(t *testing.T, c byteCase, packets []wire.Packet) {
	t.Helper()

	var want []json.RawMessage

	require.NoError(t, json.Unmarshal(c.Decoded, &want))
	require.Len(t, packets, len(want))

	for i, p := range packets {
		if p.Kind != wire.PacketMsg {
			require.Equal(t, `"`+p.Kind.String()+`"`, string(want[i]))

			continue
		}

		var msg struct {
			Bytes hexBytes `json:"bytes"`
			Ch    byte     `json:"ch"`
			EOF   int      `json:"eof"`
		}

		require.NoError(t, json.Unmarshal(want[i], &msg))
		require.Equal(t, msg.Ch, p.Channel)
		require.Equal(t, msg.EOF == 1, p.EOF)
		require.True(t, bytes.Equal(msg.Bytes, p.Payload))
	}
}

func decideDiscovery(t *testing.T, c byteCase) error {
	addrs, request, err := wire.DecodeDiscovery(c.Input)
	if err != nil || c.Decoded == nil {
		return err
	}

	if request {
		require.JSONEq(t, `"*discovery.Request"`, string(c.Decoded))

		return nil
	}

	var want []string

	require.NoError(t, json.Unmarshal(c.Decoded, &want))
	require.Len(t, addrs, len(want))

	for i := range want {
		require.True(t, strings.HasSuffix(addrs[i], want[i]), "%q instead of %q", addrs[i], want[i])
	}

	return nil
}
