package netnstest

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryAddressIsLocal(t *testing.T) {
	if !Inside(t) {
		return
	}
	for local, remote := range map[string]string{"8.8.8.8": "9.9.9.9", "2a00:1:2:3::4": "2a01:5::6"} {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(local)})
		require.NoError(t, err)
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(remote)}}
		out, err := d.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		in, err := l.Accept()
		require.NoError(t, err)
		require.Equal(t, remote, in.RemoteAddr().(*net.TCPAddr).IP.String())
		require.NoError(t, out.Close())
		_, err = io.ReadAll(in)
		require.NoError(t, err)
		require.NoError(t, in.Close())
		require.NoError(t, l.Close())
	}
}

func TestSmallDisk(t *testing.T) {
	if !Inside(t) {
		return
	}
	path := filepath.Join(SmallDisk(t, 64<<10), "file")
	require.NoError(t, os.WriteFile(path, make([]byte, 32<<10), 0o600))
	require.ErrorIs(t, os.WriteFile(path, make([]byte, 128<<10), 0o600), syscall.ENOSPC)
}
