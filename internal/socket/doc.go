// Package socket does with sockets what package net has no method for: it sets options,
// reaches through wrapped connections, and accepts until a listener is closed.
package socket
