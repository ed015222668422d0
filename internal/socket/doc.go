// Package socket sets socket options for which package net has no method.
package socket
