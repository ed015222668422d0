package summary

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logged is a log, and the lines that it has written since the last look.
type logged struct {
	*Log

	mtx sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mtx.Lock()
	defer l.mtx.Unlock()

	return l.buf.Write(b)
}

func newLogged() *logged {
	l := &logged{}
	l.Log = New(slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}

			return a
		},
	})))

	return l
}

func (l *logged) lines() []string {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	defer l.buf.Reset()
	text := strings.TrimSpace(l.buf.String())
	if text == "" {
		return nil
	}

	return strings.Split(text, "\n")
}

func (l *logged) knock(ip string, times int) {
	for range times {
		l.Event(slog.LevelInfo, netip.MustParseAddr(ip), "knock", "rude", "address", ip)
	}
}

func TestFirstEventsAndSummaries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged()
		l.knock("10.0.0.1", 3)
		l.knock("10.0.0.2", 3)
		l.knock("10.0.1.1", 1)
		l.Event(slog.LevelWarn, netip.Addr{}, "knock", "full")
		require.Equal(t, []string{
			"level=INFO msg=knock address=10.0.0.1", "level=INFO msg=knock address=10.0.1.1", "level=WARN msg=knock",
		}, l.lines())

		<-time.After(interval)
		synctest.Wait()
		require.Equal(t, []string{"level=INFO msg=knock more_times=5 reason=rude network=10.0.0.0/24"}, l.lines())
		l.knock("10.0.0.1", 1)
		l.knock("10.0.1.1", 1)
		require.Equal(t, []string{"level=INFO msg=knock address=10.0.1.1"}, l.lines(), "it was forgotten, the other was not")

		<-time.After(interval)
		synctest.Wait()
		require.Equal(t, []string{"level=INFO msg=knock more_times=1 reason=rude network=10.0.0.0/24"}, l.lines())
		<-time.After(2 * interval)
		synctest.Wait()
		require.Empty(t, l.lines())
		l.knock("10.0.0.1", 3)
		require.Equal(t, []string{"level=INFO msg=knock address=10.0.0.1"}, l.lines())

		l.Close()
		require.Equal(t, []string{"level=INFO msg=knock more_times=2 reason=rude network=10.0.0.0/24"}, l.lines())
		l.knock("10.0.0.1", 2)
		l.knock("10.0.7.1", 2)
		l.Close()
		require.Empty(t, l.lines())
	})
}

// A flood from many networks writes no more than a few lines a minute.
func TestManyNetworksAreOneKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged()
		for minute := range 5 {
			for i := range 1000 {
				l.knock(fmt.Sprintf("10.%d.%d.1", minute, i%256), 1)
			}
			<-time.After(interval)
			synctest.Wait()
			require.LessOrEqual(t, len(l.lines()), 2*(maxKinds+1))
		}
		l.knock("10.9.9.9", 7)
		l.Close()
		require.Contains(t, strings.Join(l.lines(), "\n"), "more_times=7 reason=rude network=any")
	})
}
