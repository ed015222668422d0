package demo

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	var last Snapshot
	summary, err := Run(t.Context(), Options{
		Nodes:    2,
		Duration: 2 * time.Second,
		Seed:     1,
		Logger:   slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
		Progress: func(s Snapshot) {
			require.GreaterOrEqual(t, s.Elapsed, last.Elapsed)
			require.GreaterOrEqual(t, s.Native.Delivered, last.Native.Delivered)
			last = s
		},
	})
	require.NoError(t, err)
	require.NoError(t, summary.Err())
	require.Equal(t, 4, summary.Nodes)
	require.Equal(t, 2, summary.Pairs)
	require.Equal(t, []int{2, 2}, summary.Native.Peers)
	require.NotZero(t, summary.Sent)
	require.Equal(t, summary.Sent*3, summary.Delivered)
	require.Equal(t, summary.Delivered, last.Native.Delivered+last.Libp2p.Delivered)
	require.GreaterOrEqual(t, summary.Duration, 2.0)
}

func TestRunAgreesWithTheBridge(t *testing.T) {
	c, err := newCluster(1, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, c.stop()) }()
	require.NoError(t, c.awaitPeers(t.Context()))
	// A pair that has ended meanwhile may have taken a hello that has not arrived.
	before, arrived := c.bridge.Status(), c.account().Crossed

	summary := c.measure(t.Context(), Options{Duration: 200 * time.Millisecond})
	require.NoError(t, summary.Err())
	// The bridge takes a message back that the far side does not take, which may be after others
	// have arrived.
	require.Eventually(t, func() bool {
		s := c.bridge.Status()

		return s.ToLibp2p.Messages-before.ToLibp2p.Messages == summary.Crossed.ToLibp2p-arrived.ToLibp2p &&
			s.ToNative.Messages-before.ToNative.Messages == summary.Crossed.ToNative-arrived.ToNative
	}, time.Minute, time.Millisecond)
}

func TestRunInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	summary, err := Run(ctx, Options{Nodes: 1, Duration: time.Hour, Progress: func(Snapshot) { cancel() }})
	require.NoError(t, err)
	require.NoError(t, summary.Err(), "an interruption is no fault")
	require.Less(t, summary.Duration, 3600.0)
}

func TestRunCancelledBeforeItBegins(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	summary, err := Run(ctx, Options{Nodes: 1, Duration: time.Second})
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, summary)
}

func TestRunRefusesBadOptions(t *testing.T) {
	for _, opts := range []Options{
		{Nodes: 0, Duration: time.Second},
		{Nodes: MaxNodes + 1, Duration: time.Second},
		{Nodes: 1},
	} {
		_, err := Run(t.Context(), opts)
		require.Error(t, err)
	}
}
