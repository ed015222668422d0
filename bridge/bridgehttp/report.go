package bridgehttp

import (
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
)

// Schema is the version of Report and History. It grows when a field changes its meaning or
// goes; further fields may come without that.
const Schema = 1

// Report is what /status answers. docs/status.md describes its fields.
type Report struct {
	Schema  int       `json:"schema"`
	Version string    `json:"version"` // of the program
	Time    time.Time `json:"time"`
	Listen  Listen    `json:"listen"`
	Health  Health    `json:"health"`
	bridge.Status
}

// Listen is where nodes dial the bridge.
type Listen struct {
	Native     []string `json:"native"` // TM2 addresses, ID@IP:port
	Libp2p     []string `json:"libp2p"`
	Multiaddrs []string `json:"multiaddrs"`
}

// Report returns the state of the bridge now.
func (s *Server) Report() Report {
	status := s.source.Status()

	return Report{
		Schema: Schema, Version: s.options.version, Time: time.Now().UTC(), Listen: s.options.listen,
		Health: Judge(status), Status: status,
	}
}
