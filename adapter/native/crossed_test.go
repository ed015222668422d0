package native_test

import (
	"testing"

	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
)

func TestThousandCrossedDials(t *testing.T) {
	compattest.TestCrossedDials(t, func(*testing.T) compattest.MakeSwitch { return makeSwitch }, 20, 50)
}
