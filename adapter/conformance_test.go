package adapter_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/internal/switchtest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestSwitchConformance(t *testing.T) {
	compattest.TestSwitch(t, memoryNetwork(false),
		compattest.Exemption{Promise: "Peers/AnnounceReactorChannels", Why: "the in-memory transport shows the NodeInfo that it was made with"},
		compattest.Exemption{Promise: "Crossed/SilentConnectionGivesWay", Why: "there are no sockets, so a relay cannot hold a connection"})
}

// TestCrossedDialsInMemory crosses dials that are refused in the handshake, and after it.
func TestCrossedDialsInMemory(t *testing.T) {
	for _, skipAdmission := range []bool{false, true} {
		t.Run(fmt.Sprint("admission is skipped: ", skipAdmission), func(t *testing.T) {
			compattest.TestCrossedDials(t, memoryNetwork(skipAdmission), 4, 50)
		})
	}
}

// memoryNetwork makes switches on the in-memory transport.
func memoryNetwork(skipAdmission bool) compattest.MakeNetwork {
	return func(*testing.T) compattest.MakeSwitch {
		network := memory.NewNetwork()
		var lastPort atomic.Uint32

		return func(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
			t.Helper()
			info, addr := spec.Info, *spec.Info.NetAddress
			if addr.Port == 0 {
				addr.Port = uint16(lastPort.Add(1))
			}
			info.NetAddress = &addr
			transport, err := network.NewTransportFor(info)
			require.NoError(t, err)
			if skipAdmission {
				transport.SkipAdmission()
			}

			return switchtest.New(t, spec, emptied{transport})
		}
	}
}

// emptied is an in-memory transport that has no peers left when it is closed.
type emptied struct{ *memory.Transport }

func (e emptied) Close() error {
	n := e.NumPeers()
	if err := e.Transport.Close(); err != nil || n == 0 {
		return err
	}

	return fmt.Errorf("the stopped switch has left %d peers with its transport", n)
}
