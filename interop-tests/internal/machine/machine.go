// Package machine describes the machine of a measurement.
package machine

import (
	"os"
	"strings"
)

// CPU returns the name of the processor, if the system reports it.
func CPU() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown model"
	}
	for line := range strings.Lines(string(raw)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}

	return "unknown model"
}

// Setting returns the value of a kernel setting, such as net/core/rmem_max, or "unknown".
func Setting(name string) string {
	raw, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return "unknown"
	}

	return strings.Join(strings.Fields(string(raw)), " ")
}
