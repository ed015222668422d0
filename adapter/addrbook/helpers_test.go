package addrbook_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// addrAt is the address of a new node that does not exist.
func addrAt(ip string, port uint16) *types.NetAddress {
	addr := types.NewNetAddressFromIPPort(net.ParseIP(ip), port)
	addr.ID = types.GenerateNodeKey().ID()

	return addr
}

func bookPath(t *testing.T) string { return filepath.Join(t.TempDir(), "addrbook.json") }

// pass lets time go by in a synctest bubble.
func pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
	synctest.Wait()
}

func texts(addrs []*types.NetAddress) []string {
	list := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		list = append(list, addr.String())
	}

	return list
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, into))
}
