package config

import (
	"log/slog"

	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// The formats of the log.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// SlogLevel returns the level, or a *FieldError.
func (l Log) SlogLevel() (level slog.Level, err error) {
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return 0, tomlvalue.Wrong("[log].level", l.Level, "it must be debug, info, warn or error")
	}

	return level, nil
}
