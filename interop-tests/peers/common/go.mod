module github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common

go 1.26.0
