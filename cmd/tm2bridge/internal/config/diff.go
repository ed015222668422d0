package config

import "reflect"

// reloadable are the keys that count at once when a running bridge reloads its file.
var reloadable = map[string]bool{
	"p2p.persistent_peers": true, "p2p.blocked_peers": true, "p2p.blocked_ips": true, "bridge.libp2p_peers": true, "log.level": true,
}

// AtNextStart returns the names of the keys in which two configurations differ and that count
// at the next start only.
func AtNextStart(running, loaded *Config) (names []string) {
	for _, k := range keys {
		name := k.section + "." + k.name
		if !reloadable[name] && !reflect.DeepEqual(k.field(running), k.field(loaded)) {
			names = append(names, name)
		}
	}

	return names
}
