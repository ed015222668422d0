package box

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLateness(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		seen []time.Duration
		want time.Duration
	}{
		"on time":                        {[]time.Duration{0, ms, 3 * ms, 2 * ms}, 3 * ms},
		"a few stalls of the machine":    {[]time.Duration{ms, 12 * ms, 30 * ms, 8 * ms}, ms},
		"one stall too many":             {[]time.Duration{ms, 12 * ms, 30 * ms, 8 * ms, 9 * ms}, 9 * ms},
		"a stall that is too long alone": {[]time.Duration{51 * ms, 6 * ms}, 51 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			l := lateness{since: time.Minute}
			for range 2 { // the second time begins anew
				for _, late := range c.seen {
					l.add(late)
				}
				require.Equal(t, c.want, l.take(l.since+10*time.Second))
			}
		})
	}
}
