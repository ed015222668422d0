package lp2p_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
)

func TestTransportConformance(t *testing.T) {
	compattest.TestTransport(t, func(t *testing.T, a, b compattest.Spec) (compat.Transport, compat.Transport) {
		t.Helper()

		return listenAs(t, a), listenAs(t, b)
	})
}

func listenAs(t *testing.T, spec compattest.Spec, opts ...lp2p.Option) *lp2p.Transport {
	t.Helper()
	tr, err := lp2p.NewTransport(spec.Info, spec.Key, nil, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(*spec.Info.NetAddress))

	return tr
}
