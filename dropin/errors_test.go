package dropin

import (
	"context"
	"errors"
	"fmt"
	"testing"

	gnoservice "github.com/gnolang/gno/tm2/pkg/service"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

func TestServiceErrors(t *testing.T) {
	for _, pair := range serviceErrors {
		t.Run(pair[sideOurs].Error(), func(t *testing.T) {
			require.True(t, fromServiceError(pair[sideGno]) == pair[sideOurs], "callers may compare by ==")
			require.True(t, serviceError(pair[sideOurs]) == pair[sideGno])
			err := fmt.Errorf("peer: %w", pair[sideGno])
			ours := fromServiceError(err)
			require.ErrorIs(t, ours, pair[sideOurs])
			require.ErrorIs(t, ours, pair[sideGno])
			require.EqualError(t, ours, err.Error())
			require.Equal(t, ours, serviceError(ours), "it is both already")
			gno := serviceError(fmt.Errorf("peer: %w", pair[sideOurs]))
			require.ErrorIs(t, gno, pair[sideGno])
			require.EqualError(t, gno, "peer: "+pair[sideOurs].Error())
		})
	}

	other := errors.New("other")
	require.Equal(t, other, serviceError(other))
	require.Equal(t, other, fromServiceError(other))
	require.NoError(t, serviceError(nil))
	require.NoError(t, fromServiceError(nil))
}

func TestClosedTransport(t *testing.T) {
	gno := newGnoTransport(t)
	require.NoError(t, gno.Close())
	peer, err := FromTransport(gno).Accept(t.Context(), newRecorder())
	require.True(t, peer == nil)
	require.ErrorIs(t, err, compat.ErrTransportClosed)
	require.NotErrorIs(t, fromTransportError(errors.New("other")), compat.ErrTransportClosed)
}

func TestAcceptEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	peer, err := FromTransport(newGnoTransport(t)).Accept(ctx, newRecorder())
	require.True(t, peer == nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestService(t *testing.T) {
	s := FromService(gnoservice.NewBaseService(nil, "gno", nil))
	require.ErrorIs(t, s.Stop(), service.ErrNotStarted)

	impl := &gnoImpl{}
	impl.BaseService = *gnoservice.NewBaseService(nil, "gno", impl)
	s = FromService(impl)
	require.NoError(t, s.Start())
	require.ErrorIs(t, s.Start(), service.ErrAlreadyStarted)
	require.ErrorIs(t, s.Reset(), service.ErrAlreadyStarted)
	require.NoError(t, s.Stop())
	require.ErrorIs(t, s.Stop(), service.ErrAlreadyStopped)
	require.ErrorIs(t, s.Reset(), service.ErrNoReset, "gno panics")
}

type gnoImpl struct{ gnoservice.BaseService }
