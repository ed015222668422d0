package sidebyside

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLimit replaces the command line of go test by one without and by one with -parallel.
func TestLimit(t *testing.T) {
	all := flag.CommandLine
	t.Cleanup(func() { flag.CommandLine = all })
	for want, args := range map[string][]string{"8": nil, "3": {"-test.parallel=3"}} {
		flag.CommandLine = flag.NewFlagSet("test", flag.ContinueOnError)
		parallel := flag.String(flagName, "", "")
		require.NoError(t, flag.CommandLine.Parse(args))
		require.NoError(t, Limit(8))
		require.Equal(t, want, *parallel)
	}
}
