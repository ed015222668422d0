// Package stream opens and reads libp2p streams whose protocol is negotiated lazily, and
// tells what the failure of a stream means.
package stream
