package socket

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fakePath is a path whose rate a test sets.
type fakePath struct {
	net.Conn
	rate   int64
	err    error
	looked int
	limits []int
}

func (p *fakePath) DeliveryRate() (int64, error) {
	p.looked++

	return p.rate, p.err
}

func (p *fakePath) LimitUnsent(bytes int) error {
	p.limits = append(p.limits, bytes)

	return nil
}

func (p *fakePath) limit() int { return p.limits[len(p.limits)-1] }

func TestDrainFollowsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := new(fakePath)
		d, err := NewDrain(path)
		require.NoError(t, err)
		for _, c := range []struct {
			name   string
			rate   int64
			unsent int
		}{
			{"not known yet", 0, MaxUnsent},
			{"a fast path", 1 << 30, MaxUnsent},
			{"100 Mbit/s, nearly as fast", 12_500_000, MaxUnsent},
			{"50 Mbit/s", 6_250_000, 31_250},
			{"a little less changes nothing", 5_500_000, 31_250},
			{"half as much does", 3_000_000, 15_000},
			{"a slow path", 250_000, MinUnsent},
			{"slower still", 1000, MinUnsent},
			{"no data for a while", 0, MinUnsent},
			{"20 Mbit/s", 2_500_000, 12_500},
			{"fast again", 1 << 30, MaxUnsent},
		} {
			time.Sleep(fastInterval)
			path.rate = c.rate
			d.Follow(quiet)
			require.Equal(t, c.unsent, path.limit(), c.name)
			require.Equal(t, c.unsent/2, d.Batch(), c.name)
			require.Equal(t, c.unsent == MaxUnsent, d.Full(), c.name)
		}
	})
}

// The rate is looked up seldom, and a failure changes nothing: the connection tells its own.
func TestDrainLooksSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := &fakePath{rate: 250_000}
		d, err := NewDrain(path)
		require.NoError(t, err)
		d.Follow(quiet)
		require.Equal(t, MinUnsent, path.limit())
		looked := func(over time.Duration) int {
			path.looked = 0
			for begun := time.Now(); time.Since(begun) < over; time.Sleep(100 * time.Microsecond) {
				d.Follow(quiet)
			}

			return path.looked
		}
		require.InDelta(t, 100, looked(100*slowInterval), 1)
		path.rate = 1 << 30
		time.Sleep(slowInterval)
		d.Follow(quiet)
		require.Equal(t, MaxUnsent, path.limit())
		require.InDelta(t, 100, looked(100*fastInterval), 1)

		path.err, path.rate = errors.New("closed"), 1000
		time.Sleep(fastInterval)
		d.Follow(quiet)
		require.Equal(t, MaxUnsent, path.limit())
	})
}

// A connection that sends little costs no look-ups.
func TestDrainLooksAfterEnoughWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := &fakePath{rate: 250_000}
		d, err := NewDrain(path)
		require.NoError(t, err)
		for range quiet/1024 - 1 {
			time.Sleep(time.Second)
			d.Follow(1024)
		}
		require.Zero(t, path.looked)
		d.Follow(1024)
		require.Equal(t, 1, path.looked)
		time.Sleep(time.Second)
		d.Follow(1024)
		require.Equal(t, 1, path.looked)
	})
}

func TestDrainOfOtherConnections(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	d, err := NewDrain(near)
	require.NoError(t, err)
	for _, d := range []*Drain{d, nil} {
		d.Follow(quiet)
		require.True(t, d.Full())
		require.Equal(t, MaxUnsent/2, d.Batch())
	}
}
