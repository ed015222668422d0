package secretconn

import (
	"crypto/ed25519"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/edkey"
)

// edwards25519 over the integers, slow but independent of any library.
var (
	fieldP = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	curveD = mod(new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), fieldP)))
	one    = big.NewInt(1)
)

func mod(x *big.Int) *big.Int { return x.Mod(x, fieldP) }

func mul(factors ...*big.Int) *big.Int {
	product := big.NewInt(1)
	for _, f := range factors {
		mod(product.Mul(product, f))
	}

	return product
}

type edPoint struct{ x, y *big.Int }

// add is the complete addition law of -x^2 + y^2 = 1 + d*x^2*y^2.
func (p edPoint) add(q edPoint) edPoint {
	cross := mul(curveD, p.x, q.x, p.y, q.y)
	x := mod(new(big.Int).Add(mul(p.x, q.y), mul(p.y, q.x)))
	y := mod(new(big.Int).Add(mul(p.y, q.y), mul(p.x, q.x)))
	plus := mod(new(big.Int).Add(one, cross))
	minus := mod(new(big.Int).Sub(one, cross))

	return edPoint{mul(x, plus.ModInverse(plus, fieldP)), mul(y, minus.ModInverse(minus, fieldP))}
}

func (p edPoint) isIdentity() bool { return p.x.Sign() == 0 && p.y.Cmp(one) == 0 }

// decodePoint decodes as RFC 8032 §5.1.3. Like real decoders, it also accepts y >= p,
// and a sign for x = 0.
func decodePoint(enc [32]byte) (edPoint, bool) {
	negative := enc[31] >= 0x80
	enc[31] &= 0x7f
	slices.Reverse(enc[:])

	y := mod(new(big.Int).SetBytes(enc[:]))
	yy := mul(y, y)
	den := mod(new(big.Int).Add(mul(curveD, yy), one))
	num := mod(new(big.Int).Sub(yy, one))

	x := new(big.Int).ModSqrt(mul(num, den.ModInverse(den, fieldP)), fieldP)
	if x == nil {
		return edPoint{}, false
	}

	if (x.Bit(0) == 1) != negative {
		mod(x.Neg(x))
	}

	return edPoint{x, y}, true
}

// encodings returns all encodings of y below 2^255, each with both signs.
func encodings(y *big.Int) [][32]byte {
	var all [][32]byte

	for v := new(big.Int).Set(y); v.BitLen() <= 255; v = new(big.Int).Add(v, fieldP) {
		var enc [32]byte

		v.FillBytes(enc[:])
		slices.Reverse(enc[:])
		all = append(all, enc)
		enc[31] |= 0x80
		all = append(all, enc)
	}

	return all
}

// torsion returns the eight points whose order divides 8. The group is the product of
// a group of order 8 and one of prime order l, so l times any point is such a point.
func torsion(t *testing.T) []edPoint {
	t.Helper()

	order, ok := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	require.True(t, ok)

	for v := int64(2); ; v++ {
		var enc [32]byte

		enc[0] = byte(v)

		p, ok := decodePoint(enc)
		if !ok {
			continue
		}

		generator := edPoint{big.NewInt(0), one}

		for i := order.BitLen() - 1; i >= 0; i-- {
			generator = generator.add(generator)
			if order.Bit(i) == 1 {
				generator = generator.add(p)
			}
		}

		points := []edPoint{generator}
		for !points[len(points)-1].isIdentity() {
			points = append(points, points[len(points)-1].add(generator))
		}

		if len(points) == 8 {
			return points
		}
	}
}

func TestLowOrderIdentitiesAreTheTorsionSubgroup(t *testing.T) {
	found := map[[32]byte]bool{}

	for _, p := range torsion(t) {
		for _, enc := range encodings(p.y) {
			found[enc] = true

			require.True(t, edkey.LowOrder(enc[:]), "%x", enc)
		}
	}

	require.Len(t, found, 14)
	require.Len(t, edkey.LowOrderPoints, 7)

	for _, enc := range edkey.LowOrderPoints {
		for range 2 {
			require.True(t, found[enc], "%x is not of low order", enc)

			p, ok := decodePoint(enc)
			require.True(t, ok)

			p = p.add(p)
			p = p.add(p)
			require.True(t, p.add(p).isIdentity())

			enc[31] |= 0x80
		}
	}
}

// TestLowOrderIdentitiesVerify shows why these identities are refused: the library
// accepts a constant signature by each of them for some challenges, and by the neutral
// element for every challenge.
func TestLowOrderIdentitiesVerify(t *testing.T) {
	sig := make([]byte, ed25519.SignatureSize)
	sig[0] = 1

	for _, key := range edkey.LowOrderPoints {
		for range 2 {
			passed := 0

			for i := range 256 {
				if ed25519.Verify(key[:], []byte{byte(i)}, sig) {
					passed++
				}
			}

			require.Positive(t, passed, "%x", key)

			if key == [32]byte{1} {
				require.Equal(t, 256, passed)
			}

			key[31] |= 0x80
		}
	}
}

func TestOrdinaryIdentitiesPass(t *testing.T) {
	for i := range 256 {
		require.False(t, edkey.LowOrder(pubKey(identity(byte(i)))))
	}
}
