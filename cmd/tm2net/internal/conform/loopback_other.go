//go:build !linux

package conform

// manyLoopbacks reports whether every IP of 127.0.0.0/8 can be used without being configured.
const manyLoopbacks = false
