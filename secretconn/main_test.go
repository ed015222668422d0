package secretconn

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// hexBytes is a byte string, in hex in the JSON files.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b

	return err
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()

	data, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, v))
}

// identity returns the Ed25519 key whose seed repeats b.
func identity(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func pubKey(key ed25519.PrivateKey) ed25519.PublicKey {
	return key.Public().(ed25519.PublicKey)
}

// repeated returns a key that repeats b.
func repeated(b byte) *[keySize]byte {
	return (*[keySize]byte)(bytes.Repeat([]byte{b}, keySize))
}

// fixedEphemeral returns the unmarked key pair of a seed, which is not wiped.
func fixedEphemeral(t testing.TB, seed []byte) ephemeral {
	t.Helper()

	e, err := newEphemeral((*[keySize]byte)(bytes.Clone(seed)))
	require.NoError(t, err)

	return e
}

// pattern returns n bytes in which no two chunks are alike.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i) ^ byte(i>>8)*31
	}

	return p
}

// newWriterReader returns both ends of one direction.
func newWriterReader(t testing.TB) (*frameWriter, *frameReader) {
	t.Helper()

	out, err := newDirection(repeated(7))
	require.NoError(t, err)

	in, err := newDirection(repeated(7))
	require.NoError(t, err)

	reader := newFrameReader(nil)
	reader.in = in

	return &frameWriter{out: out}, reader
}

// seal returns the frames of p under the key of newWriterReader.
func seal(t testing.TB, p []byte) []byte {
	t.Helper()

	var sealed bytes.Buffer

	w, _ := newWriterReader(t)
	w.conn = &sealed

	n, err := w.Write(p)
	require.NoError(t, err)
	require.Equal(t, len(p), n)

	return sealed.Bytes()
}

// lowOrderPoints are the X25519 public keys that the original refuses by exact
// comparison (docs/wire.md §3.1), unmarked.
var lowOrderPoints = mustKeys(
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)

// mustKeys decodes keys in hex. It panics on a malformed constant.
func mustKeys(hexKeys ...string) [][keySize]byte {
	keys := make([][keySize]byte, 0, len(hexKeys))

	for _, h := range hexKeys {
		b, err := hex.DecodeString(h)
		if err != nil || len(b) != keySize {
			panic("secretconn: malformed constant " + h)
		}

		keys = append(keys, [keySize]byte(b))
	}

	return keys
}
