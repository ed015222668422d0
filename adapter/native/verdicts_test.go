package native

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

const (
	malformedFile = "../../internal/wire/testdata/malformed.json"
	vectorsFile   = "../../internal/wire/testdata/vectors.json"
	verdictsFile  = "../../docs/verdicts.md"
)

var update = flag.Bool("update", false, "write docs/verdicts.md anew")

// hexBytes is a byte string that JSON files hold in hexadecimal.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b

	return err
}

// verdictCase is a case of malformed.json: an input or a situation, and what
// real nodes of several versions made of it.
type verdictCase struct {
	ID, Kind, Description string
	Input                 hexBytes
	Text                  string
	ReceiveKey            hexBytes `json:"receive_key"`
	Verdicts, Outcomes    map[string]json.RawMessage
}

// What becomes of a peer, or of its message.
const (
	accepted = "accept"
	refused  = "refuse" // in the handshake, or as not decodable
	dropped  = "drop"   // the connection ends
	ignored  = "ignore" // the message is dropped, the connection stays
)

// strict is the verdict of the strict profile on the case and its reason. That of
// a version of dialect A or B stands for it where only those know the form.
func (c verdictCase) strict(t *testing.T) (verdict, reason, version string) {
	t.Helper()
	models := map[string]string{"all": "", "all_applicable": "", "v1.7.1": ""}
	order := []string{"all", "all_applicable", "v1.7.1"}
	switch {
	case strings.HasPrefix(c.ID, "authAB_"):
		models["47395b1a (2025-02-07)"] = "B"
		order = []string{"all", "47395b1a (2025-02-07)"}
	case c.Kind == "node-info" && strings.HasSuffix(c.ID, "_A"):
		models["all_applicable"] = "A"
	}
	verdicts := c.Verdicts
	if verdicts == nil {
		verdicts = c.Outcomes
	}
	for _, model := range order {
		raw, ok := verdicts[model]
		if !ok {
			continue
		}
		var v struct {
			Verdict, Outcome, Reason string
			Ignored                  string `json:"message_dropped_because"`
		}
		require.NoError(t, json.Unmarshal(raw, &v))
		if v.Ignored != "" {
			return ignored, v.Ignored, models[model]
		}
		class, ok := map[string]string{
			"accept": accepted, "reject": refused,
			"connected": accepted, "handshake-rejected": refused, "connected-then-dropped": dropped,
		}[v.Verdict+v.Outcome]
		require.True(t, ok, "%s: %s", c.ID, raw)

		return class, v.Reason, models[model]
	}
	t.Fatalf("no verdict on %s", c.ID)
	panic("unreachable")
}

// kinds are the sections of the table, and how their cases are judged by the code
// of this repository.
var kinds = []struct {
	kind, title string
	judge       func(t *testing.T, c verdictCase) string
}{
	{"sts-ephemeral", "Ephemeral messages", judgeEphemeral},
	{"sts-auth-message", "Auth messages", judgeAuth},
	{"sealed-frames", "Frames", judgeFrames},
	{"node-info", "NodeInfo messages", judgeNodeInfo},
	{"packet-stream", "Packets", judgePackets},
	{"discovery-message", "Discovery messages", judgeDiscovery},
	{"node-key-file", "Node key files", judgeNodeKey},
	{"live-sts", "Situations in the secret connection", judgeLiveSTS},
	{"live-nodeinfo", "Situations in the exchange of NodeInfo", judgeLiveNodeInfo},
	{"live-packet", "Situations on a connection", judgeLivePacket},
	{"live-discovery", "Situations in discovery", judgeLiveDiscovery},
}

const (
	strictForAll = "dialect A is lenient; here every peer is held to the strict profile"
	noEmptyMsg   = "reactors are promised messages that are not empty, and no node sends one"
)

// differences are the cases in which our verdict is another one, and why.
var differences = map[string]string{
	"ni_version_nonascii_A":        strictForAll,
	"ni_version_spaces_A":          strictForAll,
	"ni_moniker_absent_A":          strictForAll,
	"ni_moniker_utf8_A":            strictForAll,
	"ni_rpc_nonascii_A":            strictForAll,
	"ni_other_unknown3_A":          strictForAll,
	"ni_chs_17_A":                  strictForAll,
	"ni_chs_dup_A":                 strictForAll,
	"ni_vs_unknown4_A":             strictForAll,
	"ni_unknown9_A":                strictForAll,
	"pk_msg_bytes_explicit_empty":  noEmptyMsg,
	"live_pk_empty_msg":            noEmptyMsg,
	"nk_typed":                     "the key files of all dialects are read",
	"live_sts_zero_frame_mid_auth": "a frame without content is an error wherever it comes: no node sends one",
	"live_sts_auth_echo":           "a peer with our own identity key is refused",
}

// TestVerdicts plays every case, writes the table and compares it with the
// documentation.
func TestVerdicts(t *testing.T) {
	var file struct {
		ByteCases []verdictCase `json:"byte_cases"`
		LiveCases []verdictCase `json:"live_cases"`
	}
	data, err := os.ReadFile(malformedFile)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &file))
	cases := slices.Concat(file.ByteCases, file.LiveCases)

	var table strings.Builder
	table.WriteString(verdictsHead)
	played, differing := 0, 0
	for _, k := range kinds {
		fmt.Fprintf(&table, "\n## %s\n\n| Case | What comes | Strict profile | Ours | Why they differ |\n|---|---|---|---|---|\n", k.title)
		for _, c := range cases {
			if c.Kind != k.kind {
				continue
			}
			played++
			ours := ""
			synctest.Test(t, func(t *testing.T) { ours = k.judge(t, c) })
			strict, reason, version := c.strict(t)
			why, differs := differences[c.ID], strict != ours
			if differs {
				differing++
			}
			require.Equal(t, differs, why != "", "%s: strict %s (%s), ours %s", c.ID, strict, reason, ours)
			if reason != "" {
				strict += " (" + strings.ReplaceAll(reason, "decoder-panic", "not-decodable") + ")"
			}
			if version != "" {
				strict = version + ": " + strict
			}
			fmt.Fprintf(&table, "| `%s` | %s | %s | %s | %s |\n", c.ID, c.Description, strict, ours, why)
		}
	}
	require.Equal(t, len(cases), played)
	require.Equal(t, len(differences), differing)

	if *update {
		require.NoError(t, os.WriteFile(verdictsFile, []byte(table.String()), 0o644))
	}
	documented, err := os.ReadFile(verdictsFile)
	require.NoError(t, err)
	require.Equal(t, table.String(), string(documented), "go test ./adapter/native -run Verdicts -update")
}

const verdictsHead = `# Verdicts on malformed input

This page shows what this implementation does with each case of internal/wire/testdata/malformed.json, beside what the strict
profile of TM2 does ([wire.md](wire.md) §1, §2). A test that plays every case against the code writes the page:
` + "`go test ./adapter/native -run Verdicts -update`" + `; without the flag it fails when the page is not true.

* **accept**: the input is taken, or the peer gets or stays connected.
* **refuse**: the handshake fails, or the bytes are not decoded.
* **drop**: the connection ends.
* **ignore**: the message is discarded and the connection stays.

The strict profile is that of v1.7.1; its reason is in brackets. Where only older versions know the form of an input,
A or B in front names the dialect of the version whose verdict is given.
`
