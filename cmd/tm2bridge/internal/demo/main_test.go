package demo

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Timeouts.Ready, Timeouts.Drain, Timeouts.Recover = 2*time.Minute, 2*time.Minute, 2*time.Minute
	goleak.VerifyTestMain(m)
}
