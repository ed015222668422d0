package sessioncases

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/rawsession"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The reason that a node gives is shown on one line, and not all of a long one.
func TestReasonOfANode(t *testing.T) {
	seen := (&session{}).told("Reject", rawsession.Message{Code: 1, Text: "full\nconforms  1.1\x1b[2J" + strings.Repeat("x", 16<<10)})
	require.EqualValues(t, 1, *seen.Code)
	require.True(t, strings.HasPrefix(seen.Detail, `Reject with code 1: full conforms  1.1\u001b[2Jxxx`), seen.Detail)
	require.LessOrEqual(t, utf8.RuneCountInString(seen.Detail), maxText+len("Reject with code 1: "))
}
