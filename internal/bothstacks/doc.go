// Package bothstacks gives one switch the peers of several transports: it accepts those of all of
// them, and ends in the order in which a transport made of others has to end.
package bothstacks
