package crowd

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func around(ip string) Networks { return netgroup.Around(netip.MustParseAddr(ip)) }

func TestLoser(t *testing.T) {
	type resident struct {
		ip    string
		age   time.Duration
		known bool
	}
	const old = conduct.UsefulUptime
	for name, c := range map[string]struct {
		residents []resident
		newcomer  string
		gain      int
		want      string
	}{
		"nobody is there":           {nil, "8.8.8.8", 2, ""},
		"the youngest":              {[]resident{{"9.1.1.1", 2, false}, {"9.1.2.1", 1, false}, {"7.7.7.7", 1, false}}, "8.8.8.8", 2, "9.1.2.1"},
		"of the crowded site":       {[]resident{{"9.1.1.1", 2, false}, {"9.1.1.2", 2, false}, {"9.1.2.1", 1, false}}, "8.8.8.8", 2, "9.1.1.1"},
		"who is not known":          {[]resident{{"9.1.1.1", 1, true}, {"9.1.1.2", 1, true}, {"9.1.2.1", 2, false}}, "8.8.8.8", 2, "9.1.2.1"},
		"if all are known":          {[]resident{{"9.1.1.1", 2, true}, {"9.1.2.1", 1, true}, {"7.7.7.7", 1, false}}, "8.8.8.8", 2, "9.1.2.1"},
		"one that is protected":     {[]resident{{"9.1.1.1", old, false}, {"9.1.2.1", old - 1, false}}, "8.8.8.8", 2, "9.1.2.1"},
		"no more than one is":       {[]resident{{"9.1.1.1", old + 1, false}, {"9.1.2.1", old, false}}, "8.8.8.8", 2, "9.1.2.1"},
		"a gain of one":             {[]resident{{"9.1.1.1", 1, false}}, "8.8.8.8", 1, "9.1.1.1"},
		"not enough":                {[]resident{{"9.1.1.1", 1, false}}, "8.8.8.8", 2, ""},
		"the newcomer's own crowd":  {[]resident{{"9.1.1.1", 1, false}, {"9.1.1.1", 1, false}}, "9.1.1.1", 1, ""},
		"another host of the crowd": {[]resident{{"9.1.1.1", 1, false}, {"9.1.1.1", 1, false}}, "9.1.1.2", 2, "9.1.1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var crowd Crowd[string]
				for _, r := range c.residents {
					crowd.Count(around(r.ip))
					crowd.Add(Resident[string]{r.ip, time.Now().Add(-r.age), around(r.ip), r.known})
				}
				require.Equal(t, c.want, crowd.Loser(around(c.newcomer), 1, c.gain))
			})
		})
	}
}

// Who does not give way is counted all the same.
func TestOthersAreCounted(t *testing.T) {
	var crowd Crowd[string]
	crowd.Count(around("9.1.1.1"))
	crowd.Add(Resident[string]{"a", time.Now(), around("9.1.1.1"), false})
	require.Empty(t, crowd.Loser(around("8.8.8.8"), 0, 2))
	crowd.Count(around("9.1.2.1"))
	require.Equal(t, "a", crowd.Loser(around("8.8.8.8"), 0, 2))
	crowd.Count(around("8.8.1.1"))
	require.Empty(t, crowd.Loser(around("8.8.8.8"), 0, 2))
}
