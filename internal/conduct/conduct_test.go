package conduct

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

var errBad = errors.New("message of no kind")

// Each refusal is twice as long as the one before it, up to a bound. A peer that behaves for
// twice as long as it was refused begins anew.
func TestRefusalsGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		offend := func() time.Duration { return b.Charge("a", netip.Prefix{}, ViolationPoints, errBad) }
		var waits []time.Duration
		for range 7 {
			wait := offend()
			waits = append(waits, wait)
			require.Zero(t, offend(), "what it does meanwhile adds nothing")
			require.ErrorContains(t, b.Refusal("a", netip.Prefix{}), errBad.Error())
			var reject *compat.RejectError
			require.ErrorAs(t, b.Refusal("a", netip.Prefix{}), &reject)
			require.Equal(t, compat.RejectBanned, reject.Code)
			time.Sleep(wait - 1)
			require.Error(t, b.Refusal("a", netip.Prefix{}))
			time.Sleep(time.Nanosecond)
			require.NoError(t, b.Refusal("a", netip.Prefix{}))
		}
		require.Equal(t, []time.Duration{
			FirstRefusal, 2 * FirstRefusal, 4 * FirstRefusal, 8 * FirstRefusal, 16 * FirstRefusal, MaxRefusal, MaxRefusal,
		}, waits)
		time.Sleep(2*MaxRefusal + 1)
		require.Equal(t, FirstRefusal, offend())
	})
}

// One connection in 10 s is free for ever.
func TestPointsFade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		host := netip.MustParsePrefix("9.8.7.6/32")
		for range 1000 {
			require.Zero(t, b.Charge("", host, ConnPoints, ErrManyConns))
			time.Sleep(10 * time.Second)
		}
		for range MaxPoints/ConnPoints - 1 {
			require.Zero(t, b.Charge("", host, ConnPoints, ErrManyConns))
		}
		require.Equal(t, FirstRefusal, b.Charge("", host, ConnPoints, ErrManyConns))
	})
}

// What is remembered is bounded, and what is forgotten is not the worst.
func TestConductIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a refusal must not end while the test runs
		b := New()
		for i := range 3 * maxRecords {
			points := float64(1)
			if i < 100 {
				points = ViolationPoints
			}
			b.Charge(types.ID(fmt.Sprint(i)), netip.PrefixFrom(netip.AddrFrom4([4]byte{9, 9, byte(i >> 8), byte(i)}), 32), points, errBad)
		}
		require.LessOrEqual(t, len(b.ids), maxRecords)
		require.LessOrEqual(t, len(b.hosts), maxRecords)
		for i := range 100 {
			require.Error(t, b.Refusal(types.ID(fmt.Sprint(i)), netip.Prefix{}))
		}
	})
}

// What was not the fault of a host is taken back, and no more than it has.
func TestRefund(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		host := netip.MustParsePrefix("9.8.7.6/32")
		b.Refund(host, ConnPoints)
		for range 1000 {
			require.Zero(t, b.Charge("", host, ConnPoints, ErrManyConns))
			b.Refund(host, 2*ConnPoints)
		}
		require.NoError(t, b.Refusal("", host))
	})
}
