package main

import (
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

// sealAndOpen measures how fast one core seals and opens chunks of 1 KiB.
func sealAndOpen(r *harness.Run) error {
	const size = 1 << 10
	aead, err := chacha20poly1305.New(make([]byte, chacha20poly1305.KeySize))
	if err != nil {
		return err
	}
	nonce := make([]byte, aead.NonceSize())
	plain := make([]byte, size)
	sealed := aead.Seal(nil, nonce, plain, nil)
	out := make([]byte, 0, len(sealed))

	seal := func() error {
		aead.Seal(out, nonce, plain, nil)

		return nil
	}
	open := func() error {
		_, err := aead.Open(out, nonce, sealed, nil)

		return err
	}
	for _, m := range []struct {
		metric string
		f      func() error
	}{{"seal_MBps", seal}, {"open_MBps", open}} {
		if _, err := callsPerSecond(m.f, r.Warmup/2); err != nil {
			return err
		}
		n, err := callsPerSecond(m.f, r.Window/2)
		if err != nil {
			return err
		}
		r.Add(m.metric, n*size/1e6)
	}

	return nil
}

func callsPerSecond(f func() error, d time.Duration) (float64, error) {
	const batch = 64 // calls per reading of the clock
	n := 0
	begun := time.Now()
	for time.Since(begun) < d {
		for range batch {
			if err := f(); err != nil {
				return 0, err
			}
		}
		n += batch
	}

	return float64(n) / time.Since(begun).Seconds(), nil
}
