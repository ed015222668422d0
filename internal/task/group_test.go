package task

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTasks(t *testing.T) {
	var ts Tasks
	leave, ran := make(chan struct{}), make(chan struct{})
	require.True(t, ts.Run(func() { close(ran); <-leave }))
	<-ran
	ts.Close()
	require.False(t, ts.Run(func() { t.Error("ran after close") }))
	done := ts.Done()
	select {
	case <-done:
		t.Fatal("done before the last goroutine")
	default:
	}
	close(leave)
	<-done
}
