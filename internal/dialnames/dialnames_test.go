package dialnames

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	wrong   = &compat.WrongIDError{}
	refused = compat.Reject(compat.RejectFull, "")
	timeout = context.DeadlineExceeded
	nobody  = error(syscall.ECONNREFUSED)
)

// addrs are as many addresses as there are errors.
func addrs(n int) []types.NetAddress {
	all := make([]types.NetAddress, n)
	for i := range all {
		all[i].Port = uint16(i)
	}

	return all
}

// What tells most about the peer is the verdict, whichever came first, and the others are
// in the text.
func TestTheMostTellingFailureCounts(t *testing.T) {
	for _, c := range []struct {
		want compat.DialFailure
		errs []error
	}{
		{compat.DialWrongID, []error{wrong, nobody}},
		{compat.DialTimedOut, []error{wrong, timeout, nobody}},
		{compat.DialUnreachable, []error{nobody, nobody}},
		{compat.DialUnclear, []error{errors.New("?"), wrong}},
	} {
		for range 2 {
			_, err := Each(t.Context(), addrs(len(c.errs)), func(_ context.Context, a types.NetAddress) (int, error) {
				return 0, c.errs[a.Port]
			})
			require.Equal(t, c.want, compat.ClassifyDial(err), "%v", err)
			for _, e := range c.errs {
				require.ErrorContains(t, err, e.Error())
			}
			slices.Reverse(c.errs)
		}
	}
}

// The first success counts, and whatever the peer itself answers ends the search.
func TestTheAnswerEndsTheSearch(t *testing.T) {
	dialed := 0
	dial := func(errs ...error) func(context.Context, types.NetAddress) (string, error) {
		dialed = 0

		return func(_ context.Context, a types.NetAddress) (string, error) {
			dialed++

			return "found", errs[a.Port]
		}
	}
	found, err := Each(t.Context(), addrs(3), dial(wrong, nil, nobody))
	require.NoError(t, err)
	require.Equal(t, "found", found)
	require.Equal(t, 2, dialed)

	_, err = Each(t.Context(), addrs(3), dial(wrong, refused, nil))
	require.ErrorIs(t, err, error(refused))
	require.Equal(t, 2, dialed)

	found, err = Each(t.Context(), addrs(2), dial(compat.Reject(compat.RejectBanned, ""), nil))
	require.NoError(t, err, "an IP of several that this node bans")
	require.Equal(t, "found", found)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Each(ctx, addrs(3), dial(nobody, nobody, nil))
	require.Error(t, err)
	require.Equal(t, 1, dialed)
}

// All addresses together have the time of the context: what one leaves is the others'.
func TestTimeIsDivided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		var took []time.Duration
		_, err := Each(ctx, addrs(4), func(ctx context.Context, a types.NetAddress) (int, error) {
			begun := time.Now()
			if a.Port == 1 {
				return 0, nobody
			}
			<-ctx.Done()
			took = append(took, time.Since(begun))

			return 0, ctx.Err()
		})
		require.Equal(t, compat.DialTimedOut, compat.ClassifyDial(err))
		require.Equal(t, []time.Duration{9 * time.Second / 4, 27 * time.Second / 8, 27 * time.Second / 8}, took)
	})
}

// blocking is a switch that lets nobody connect to an IP.
type blocking struct {
	compat.PeerBehavior
	ip net.IP
}

func (b blocking) AdmitDial(ip net.IP) error {
	if ip.Equal(b.ip) {
		return compat.Reject(compat.RejectBanned, "blocked")
	}

	return nil
}

// An IP that the switch refuses is not connected to, whatever the others are like.
func TestRefusedIPsAreNotDialed(t *testing.T) {
	ctx := WithAdmission(t.Context(), blocking{ip: net.IPv4(192, 0, 2, 1)})
	bad, good := types.NetAddress{IP: net.IPv4(192, 0, 2, 1), Port: 1}, types.NetAddress{IP: net.IPv4(192, 0, 2, 2), Port: 1}
	for _, failure := range []error{nil, nobody, timeout} {
		for _, order := range [][]types.NetAddress{{bad, good}, {good, bad}, {bad, good, bad}} {
			var dialed []types.NetAddress
			_, err := Each(ctx, order, func(_ context.Context, a types.NetAddress) (int, error) {
				dialed = append(dialed, a)

				return 0, failure
			})
			require.Equal(t, []types.NetAddress{good}, dialed)
			require.Equal(t, failure == nil, err == nil)
			if err != nil {
				require.Equal(t, compat.ClassifyDial(failure), compat.ClassifyDial(err), "it tells more")
				require.ErrorContains(t, err, "192.0.2.1:1: rejected: banned: blocked")
			}
		}
	}
}

func TestResolve(t *testing.T) {
	names := dnstest.Install(t)
	plain := types.NetAddress{ID: "id", IP: net.IPv4(192, 0, 2, 1), Port: 1}
	found, err := Resolve(t.Context(), plain)
	require.NoError(t, err)
	require.Equal(t, []types.NetAddress{plain}, found)

	named := types.NetAddress{ID: "id", IP: net.IPv4zero, Hostname: "node.example", Port: 2}
	_, err = Dial(t.Context(), named, func(context.Context, types.NetAddress) (int, error) { return 0, nil })
	require.Equal(t, compat.DialUnreachable, compat.ClassifyDial(err))

	names.Set("node.example", net.IPv4(192, 0, 2, 2), net.ParseIP("2001:db8::2"))
	found, err = Resolve(t.Context(), named)
	require.NoError(t, err)
	require.Len(t, found, 2, "of both families")
	for _, a := range found {
		require.Empty(t, a.Hostname)
		require.Equal(t, named.ID, a.ID)
		require.Equal(t, named.Port, a.Port)
	}

	var many []net.IP
	for i := range 2 * maxAddresses {
		many = append(many, net.IPv4(192, 0, 2, byte(i)))
	}
	names.Set("node.example", many...)
	found, err = Resolve(t.Context(), named)
	require.NoError(t, err)
	require.Len(t, found, maxAddresses)
}
