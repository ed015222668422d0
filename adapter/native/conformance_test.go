package native_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func TestTransportConformance(t *testing.T) {
	unlimited := mconn.DefaultMConnConfig()
	unlimited.SendRate, unlimited.RecvRate = 0, 0
	unlimited.MaxPacketMsgPayloadSize = 64 << 10
	for name, config := range map[string]mconn.MConnConfig{
		"default":   mconn.DefaultMConnConfig(),
		"unlimited": unlimited,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compattest.TestTransport(t, func(t *testing.T, a, b compattest.Spec) (compat.Transport, compat.Transport) {
				t.Helper()

				return listenAs(t, a, config), listenAs(t, b, config)
			})
		})
	}
}

func listenAs(t *testing.T, spec compattest.Spec, config mconn.MConnConfig) *native.MultiplexTransport {
	t.Helper()
	mt := native.NewMultiplexTransport(spec.Info, spec.Key, config, nil)
	t.Cleanup(func() { require.NoError(t, mt.Close()) })
	require.NoError(t, mt.Listen(*spec.Info.NetAddress))

	return mt
}
