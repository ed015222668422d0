package task

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGroup(t *testing.T) {
	var g Group
	leave, ran := make(chan struct{}), make(chan struct{})
	require.True(t, g.Go(func() { close(ran); <-leave }))
	require.True(t, g.Enter())
	<-ran
	g.Close()
	require.False(t, g.Go(func() { t.Error("ran after close") }))
	require.False(t, g.Enter())
	done := g.Done()
	close(leave)
	select {
	case <-done:
		t.Fatal("done before the last call")
	default:
	}
	g.Leave()
	<-done
	g.Wait()
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		require.True(t, Sleep(t.Context(), time.Minute))
		require.Equal(t, time.Minute, time.Since(begun))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.False(t, Sleep(ctx, time.Minute))
		require.Equal(t, time.Minute+time.Second, time.Since(begun))
	})
}

func TestWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		require.False(t, WaitFor(done, time.Second))
		close(done)
		require.True(t, WaitFor(done, time.Second))
	})
}

func TestSignal(t *testing.T) {
	s := NewSignal()
	s.Set()
	s.Set() // does not block, and is the same signal
	<-s.C()
	select {
	case <-s.C():
		t.Fatal("signalled twice")
	default:
	}
}
