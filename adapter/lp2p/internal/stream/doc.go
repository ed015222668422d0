// Package stream opens and reads libp2p streams whose protocol is negotiated lazily, and
// classifies their failures.
package stream
