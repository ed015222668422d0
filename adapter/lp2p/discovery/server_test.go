package discovery

import (
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/access"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// holding is a transport that holds any connection.
type holding struct{ access.Transport }

func (holding) Hold(network.Conn) (func(), bool) { return func() {}, true }

// from is a connection of a remote.
type from struct {
	network.Conn
	peer peer.ID
	at   multiaddr.Multiaddr
}

func (f from) RemotePeer() peer.ID                  { return f.peer }
func (f from) RemoteMultiaddr() multiaddr.Multiaddr { return f.at }

// piped is a stream through a pipe, which takes nothing that its other end does not read.
type piped struct {
	network.Stream
	pipe  net.Conn
	conn  from
	reset chan network.StreamErrorCode
}

func (p *piped) Read(b []byte) (int, error)    { return p.pipe.Read(b) }
func (p *piped) Write(b []byte) (int, error)   { return p.pipe.Write(b) }
func (p *piped) SetDeadline(t time.Time) error { return p.pipe.SetDeadline(t) }
func (p *piped) Close() error                  { return p.pipe.Close() }
func (p *piped) Conn() network.Conn            { return p.conn }
func (p *piped) Reset() error                  { return p.ResetWithError(network.StreamNoError) }
func (p *piped) ResetWithError(code network.StreamErrorCode) error {
	p.reset <- code

	return p.pipe.Close()
}

// answer is a handler that answers one query with one byte, as kad-dht does with more.
func answer(s network.Stream) {
	_, err := wire.ReadSized(s, maxRequest)
	if err == nil {
		_, err = s.Write([]byte{1})
	}
	if err != nil {
		_ = s.Reset()

		return
	}
	_ = s.Close()
}

// Remotes that ask and do not read the answers take all places, and keep nobody of another
// network from being answered.
func TestAnswersThatNobodyReadsGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(&Discovery{t: holding{}, records: newRecords()})
		s.opened = true
		peers, resets := 0, make(chan network.StreamErrorCode, 2*maxServed)
		ask := func(p int, ip string) net.Conn {
			at, err := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/%s/tcp/1", ip))
			require.NoError(t, err)
			synctest.Wait() // a former one may be about to leave
			ours, theirs := net.Pipe()
			go s.serve(&piped{pipe: ours, conn: from{peer: somePeer(t, p), at: at}, reset: resets}, answer)
			_, err = theirs.Write(wire.AppendSized(nil, []byte("a query")))
			require.NoError(t, err)

			return theirs
		}
		for host := range maxServed / maxServedPerHost {
			for i := range maxServedPerHost {
				if i%maxServedPerPeer == 0 {
					peers++
				}
				ask(peers, fmt.Sprintf("9.1.%d.1", host))
			}
		}
		synctest.Wait()
		require.Equal(t, maxServed, s.places.Taken())
		begun := time.Now()
		for i := range 20 {
			peers++
			_, err := io.ReadFull(ask(peers, fmt.Sprintf("9.%d.1.1", 2+i)), make([]byte, 1))
			require.NoError(t, err)
		}
		require.Zero(t, time.Since(begun))
		synctest.Wait()
		require.Len(t, resets, 1, "one has made room for all, which came one after the other")
		require.Equal(t, network.StreamResourceLimitExceeded, <-resets)
		s.serving.Wait() // the others end at their deadline
		require.Zero(t, s.places.Taken())
		require.LessOrEqual(t, time.Since(begun), serveTimeout)
	})
}
