package types

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const lookupID = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"

// table resolves the names it has; the name "silent" never gets an answer.
type table map[string][]net.IPAddr

var errNoSuchHost = errors.New("no such host")

func (r table) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	if host == "silent" {
		<-ctx.Done()

		return nil, ctx.Err()
	}

	addrs, ok := r[host]
	if !ok {
		return nil, errNoSuchHost
	}

	return addrs, nil
}

var names = table{
	"two":     {{IP: net.IPv4(1, 2, 3, 4)}, {IP: net.IPv4(5, 6, 7, 8)}},
	"nothing": {},
}

func TestResolveAddress(t *testing.T) {
	na, err := resolveAddress(names, lookupID+"@two:9")
	require.NoError(t, err)
	require.Equal(t, lookupID+"@1.2.3.4:9", na.String())
	require.Equal(t, "two", na.Hostname)

	na, err = resolveAddress(names, lookupID+"@8.8.8.8:9")
	require.NoError(t, err)
	require.Empty(t, na.Hostname)

	_, err = resolveAddress(names, lookupID+"@nothing:9")
	require.ErrorIs(t, err, ErrEmptyLookupResult)

	_, err = resolveAddress(names, lookupID+"@nobody:9")
	require.ErrorIs(t, err, errNoSuchHost)

	_, err = resolveAddress(names, "junk")
	require.ErrorIs(t, err, ErrInvalidNetAddress)
}

func TestConfiguredAddress(t *testing.T) {
	for _, host := range []string{"nobody", "nothing"} {
		na, err := configuredAddress(names, lookupID+"@"+host+":9")
		require.NoError(t, err)
		require.Nil(t, na.IP)
		require.Equal(t, lookupID+"@"+host+":9", na.String())
		require.ErrorIs(t, na.Validate(), ErrUnsetIPAddress)
	}

	na, err := configuredAddress(names, lookupID+"@two:9")
	require.NoError(t, err)
	require.Equal(t, lookupID+"@1.2.3.4:9", na.String())

	_, err = configuredAddress(names, "junk")
	require.ErrorIs(t, err, ErrInvalidNetAddress)
}

func TestLookupIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()

		_, err := resolveAddress(names, lookupID+"@silent:9")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, lookupTimeout, time.Since(start))
	})
}

func TestResolveAddressesKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in, want []string

		for i := range 40 {
			in = append(in, lookupID+"@silent:1", fmt.Sprintf("%s@two:%d", lookupID, i))
			want = append(want, fmt.Sprintf("%s@1.2.3.4:%d", lookupID, i))
		}

		start := time.Now()
		addrs, errs := resolveAddresses(names, in)

		require.Equal(t, 3*lookupTimeout, time.Since(start), "40 silent names, 16 at a time")
		require.Len(t, errs, 40)
		require.ErrorIs(t, errs[0], context.DeadlineExceeded)

		var got []string
		for _, na := range addrs {
			got = append(got, na.String())
		}

		require.Equal(t, want, got)
	})
}

func TestDefaultResolver(t *testing.T) {
	na, err := NewNetAddressFromString(lookupID + "@localhost:9")
	require.NoError(t, err)
	require.True(t, na.IP.IsLoopback())
	require.Equal(t, "localhost", na.Hostname)

	na, err = NewConfiguredNetAddress(lookupID + "@localhost:9")
	require.NoError(t, err)
	require.True(t, na.IP.IsLoopback())

	addrs, errs := NewNetAddressFromStrings([]string{lookupID + "@1.2.3.4:5", "junk"})
	require.Len(t, addrs, 1)
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], ErrInvalidNetAddress)
}
