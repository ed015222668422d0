module github.com/tm2-libp2p/tm2-libp2p/interop-tests/gnoland

go 1.26.0

require github.com/stretchr/testify v1.12.1

require go.yaml.in/yaml/v3 v3.0.5 // indirect
