package pex_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// tm2File is what TM2 v1.7.1 reads and writes.
type tm2File struct {
	Peers []struct {
		Addr          string `json:"addr"`
		LastSeen      int64  `json:"last_seen"`
		LastConnected int64  `json:"last_connected,omitempty"`
	} `json:"peers"`
}

// sourceAt is a peer that tells addresses from the IP.
func sourceAt(ip string) addrbook.Source {
	return addrbook.Source{ID: types.GenerateNodeKey().ID(), IP: net.ParseIP(ip)}
}

func openBook(t *testing.T, path string, opts ...addrbook.Option) *addrbook.Book {
	t.Helper()
	b, err := addrbook.Open(path, types.NetAddress{}, opts...)
	require.NoError(t, err)

	return b
}

// A node saves while it runs, not at every change, and at its end. The time of a
// connection is that of its end.
func TestNodeSavesItsBook(t *testing.T) {
	path := bookPath(t)
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n := newNode(t, network, nodeOptions{bookPath: path, reactor: []pex.Option{pex.WithSaveInterval(time.Minute)}})
		s := newStranger(t, network, nil)
		defer s.stop(t)
		connect(t, n, s)
		pass(time.Minute - 1)
		require.NoFileExists(t, path)
		pass(1)
		require.FileExists(t, path)
		pass(time.Hour)
		lastConnected := func() int64 {
			var file tm2File
			readJSON(t, path, &file)
			require.Len(t, file.Peers, 1)

			return file.Peers[0].LastConnected
		}
		require.InDelta(t, time.Now().Unix(), lastConnected(), 660, "renewed while it lasts")
		n.stop(t)
		require.Equal(t, time.Now().Unix(), lastConnected())
	})
}

// The folder of the book going away does not stop a node.
func TestNodeSurvivesFailingSaves(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "addrbook.json")
	var log bytes.Buffer // written by one goroutine at a time, and read after all
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n, s := newNode(t, network, nodeOptions{bookPath: path}), newStranger(t, network, nil)
		defer s.stop(t)
		n.pex.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, os.Remove(dir))
		connect(t, n, s)
		pass(pex.DefaultSaveInterval)
		require.NoError(t, os.Mkdir(dir, 0o700))
		pass(pex.DefaultSaveInterval)
		require.FileExists(t, path)
		require.NoError(t, os.RemoveAll(dir))
		n.stop(t)
	})
	require.Equal(t, 2, strings.Count(log.String(), "cannot save address book"), log.String())
}

// Addresses of the book are dialed at the start, the most recently connected
// first.
func TestStartDialsTheBookInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := bookPath(t)
		b := openBook(t, path)
		old, recent, hint := addrAt("1.2.3.4", 1), addrAt("1.2.3.4", 2), addrAt("1.2.3.4", 3)
		b.MarkConnected(old, true)
		pass(time.Hour)
		b.MarkConnected(recent, true)
		b.Add(sourceAt("9.9.9.9"), hint)
		require.NoError(t, b.Flush())

		sw := &fakeSwitch{}
		r := pex.NewReactor(openBook(t, path))
		r.SetSwitch(sw)
		require.NoError(t, r.Start())
		require.Equal(t, texts([]*types.NetAddress{recent, old, hint}), texts(sw.dialed()))
		require.Equal(t, 1, sw.subscribers())
		require.NoError(t, r.Stop())
		require.Zero(t, sw.subscribers(), "unsubscribed")
	})
}

// Outbound peers that have lasted are dialed first after a restart, before those that were
// connected more recently.
func TestAnchorsAreDialedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := bookPath(t)
		network := memory.NewNetwork()
		n := newNode(t, network, nodeOptions{bookPath: path})
		s := newStranger(t, network, nil)
		connect(t, n, s)
		pass(2 * time.Minute)
		s.stop(t)
		n.stop(t)

		pass(time.Hour)
		b := openBook(t, path)
		recent := addrAt("1.2.3.4", 2)
		b.MarkConnected(recent, true)
		require.NoError(t, b.Flush())
		sw := &fakeSwitch{}
		r := pex.NewReactor(openBook(t, path))
		r.SetSwitch(sw)
		require.NoError(t, r.Start())
		require.Equal(t, texts([]*types.NetAddress{s.addr(), recent}), texts(sw.dialed()))
		require.NoError(t, r.Stop())
	})
}

func TestFailedDialsAreNoted(t *testing.T) {
	for _, c := range []struct {
		name   string
		reason error
		blamed bool
	}{
		{"refused", memory.ErrRefused, true},
		{"timed out", context.DeadlineExceeded, true},
		{"node stops", fmt.Errorf("dial: %w", context.Canceled), false},
		{"transport closed", compat.ErrTransportClosed, false},
		{"no socket left", syscall.EMFILE, false},
		{"busy", fmt.Errorf("dial: %w", compat.ErrBusy), false},
		{"full", &compat.RejectError{Code: compat.RejectFull, Remote: true}, false},
		{"connected already", compat.Reject(compat.RejectDuplicate, ""), false},
		{"somebody else", compat.Reject(compat.RejectIdentity, ""), true},
		{"other network", &compat.RejectError{Code: compat.RejectIncompatible, Remote: true}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			b, addr := openBook(t, ""), addrAt("1.2.3.4", 1)
			b.MarkConnected(addr, true)
			sw := &fakeSwitch{}
			r := pex.NewReactor(b)
			r.SetSwitch(sw)
			require.NoError(t, r.Start())
			defer r.Stop()
			for range 3 {
				sw.events.Notify(events.DialFailedEvent{Address: *addr, Reason: c.reason})
				pass(time.Second)
			}
			want := 0
			if c.blamed {
				want = 3
			}
			require.Equal(t, want, b.Of(addr.ID)[0].Failures, c.name)
		})
	}
}

// Where another node was found, the book takes no hint that somebody else is there.
func TestWrongNodeIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBook(t, "")
		asked, found, other := addrAt("1.2.3.4", 1), addrAt("1.2.3.4", 1), addrAt("1.2.3.4", 1)
		b.Add(sourceAt("9.9.9.9"), asked)
		sw := &fakeSwitch{}
		r := pex.NewReactor(b)
		r.SetSwitch(sw)
		require.NoError(t, r.Start())
		defer r.Stop()
		sw.events.Notify(events.DialFailedEvent{Address: *asked, Reason: fmt.Errorf("unable to dial: %w", &compat.WrongIDError{Found: found.ID})})
		synctest.Wait()
		require.Zero(t, b.Add(sourceAt("9.8.9.9"), other))
		require.Equal(t, 1, b.Add(sourceAt("9.8.9.9"), found))
	})
}
