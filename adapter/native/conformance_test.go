package native_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// patient bounds the steps of handshakes that have to succeed on a busy machine.
const patient = 20 * time.Second

func TestTransportConformance(t *testing.T) {
	t.Parallel()
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
	mt := native.NewMultiplexTransport(spec.Info, spec.Key, config, nil, native.WithHandshakeTimeout(patient))
	t.Cleanup(func() { require.NoError(t, mt.Close()) })
	require.NoError(t, mt.Listen(*spec.Info.NetAddress))

	return mt
}
