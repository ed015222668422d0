package cluster

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	ChildMain()
	goleak.VerifyTestMain(m)
}

// full reports whether the tests run at their full size.
func full() bool { return os.Getenv("CLUSTER_FULL") != "" }
