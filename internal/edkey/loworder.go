package edkey

import "crypto/ed25519"

// LowOrderPoints are the encodings, sign bit cleared, of all points of edwards25519
// whose order divides 8, with the non-canonical ones that decoders accept
// (RFC 8032 §5.1.3; the same list as libsodium's ge25519_has_small_order).
var LowOrderPoints = [...][ed25519.PublicKeySize]byte{
	{}, // y = 0, order 4
	{1},
	{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	}, // order 8
	{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	}, // order 8
	highPoint(0xec), // p-1, order 2
	highPoint(0xed), // p = 0
	highPoint(0xee), // p+1 = 1
}

// highPoint returns the encoding of 2^255 - 256 + low.
func highPoint(low byte) (p [ed25519.PublicKeySize]byte) {
	for i := range p {
		p[i] = 0xff
	}
	p[0], p[len(p)-1] = low, 0x7f

	return p
}

// LowOrder reports whether the key is a point of low order, for which anybody can
// make signatures. Keys are public: the comparison need not be constant-time.
func LowOrder(key ed25519.PublicKey) bool {
	if len(key) != ed25519.PublicKeySize {
		return false
	}

	masked := [ed25519.PublicKeySize]byte(key)
	masked[len(masked)-1] &= 0x7f

	for i := range LowOrderPoints {
		if masked == LowOrderPoints[i] {
			return true
		}
	}

	return false
}
