package machine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDescription(t *testing.T) {
	require.NotEmpty(t, CPU())
	require.NotEmpty(t, Setting("kernel/osrelease"))
	require.Equal(t, "unknown", Setting("no/such/setting"))
}
