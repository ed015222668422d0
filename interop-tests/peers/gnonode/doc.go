// Package gnonode is a legacy node's peer-to-peer layer: gno's transport and
// switch with one reactor on the channels of a real node, which reports all that
// it is told.
//
// The module requires the oldest release whose API it can be compiled against.
// The module of a peer process requires a certain release, at least that one,
// and so chooses what this package is built from. What the releases do not have
// in common is in Release.
package gnonode
