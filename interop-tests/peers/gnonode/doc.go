// Package gnonode is the peer-to-peer layer of a legacy node: gno's transport and switch
// with a reactor on the channels of a real node, which reports all its calls.
//
// The module requires the oldest release whose API it can be compiled against. The module of
// a peer process requires the same or a later release, and so chooses the release with which
// this package is built. Release holds the differences between releases.
package gnonode
