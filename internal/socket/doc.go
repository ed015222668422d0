// Package socket sets what the operating system does with a connection, where
// package net has no method for it.
package socket
