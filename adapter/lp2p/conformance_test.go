package lp2p_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
)

func TestTransportConformance(t *testing.T) {
	t.Parallel()
	compattest.TestTransport(t, func(t *testing.T, a, b compattest.Spec) (compat.Transport, compat.Transport) {
		t.Helper()

		return listenAs(t, a), listenAs(t, b)
	})
}

// patient bounds the dials, handshakes and flushes that have to succeed on a busy machine.
const patient = 20 * time.Second

func listenAs(t *testing.T, spec compattest.Spec, opts ...lp2p.Option) *lp2p.Transport {
	t.Helper()
	timeouts := lp2p.DefaultTimeouts()
	timeouts.Dial, timeouts.Handshake, timeouts.Flush = patient, patient, patient
	tr, err := lp2p.NewTransport(spec.Info, spec.Key, nil, append([]lp2p.Option{lp2p.WithTimeouts(timeouts)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(*spec.Info.NetAddress))

	return tr
}
