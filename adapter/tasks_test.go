package adapter

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTasks(t *testing.T) {
	var ts tasks
	leave, ran := make(chan struct{}), make(chan struct{})
	require.True(t, ts.run(func() { close(ran); <-leave }))
	<-ran
	ts.close()
	require.False(t, ts.run(func() { t.Error("ran after close") }))
	done := ts.done()
	select {
	case <-done:
		t.Fatal("done before the last goroutine")
	default:
	}
	close(leave)
	<-done
}
