// Package wire encodes and decodes the few messages of the TM2 peer-to-peer
// protocol, byte for byte as real nodes write them and without reflection.
//
// It serves the packages that speak to real nodes: secretconn (ephemeral and
// auth messages), compat/types (NodeInfo), mconn (packets) and the discovery
// reactor. The format is described in docs/wire.md: the encoding rules in §2,
// the messages in §3 to §6.
//
// # Decoding
//
// Decoders follow the strict receiver profile of docs/wire.md §2: fields in
// ascending order, no field twice, no unknown field, exact wire types, exact
// lengths, nothing after the last field. They also accept what that profile
// accepts, for example varints that are longer than necessary. They are stricter
// than the original in three places:
//
//   - a length prefix above 64 bits is an error, not the length 0;
//   - an ephemeral message without a key and an auth message without a key or
//     without a 64-byte signature are errors, not zero values;
//   - a discovery response without entries is an error.
//
// A decoder refuses bad input with a [*DecodeError] and never panics. It
// allocates at most a fixed multiple of the length of its input, so the limit
// given to [ReadSized] also bounds the memory of the decoded message.
//
// # Framing
//
// Functions whose comment says "sized" also write the varint length prefix.
// Decode functions take the body after the prefix, as [ReadSized] returns it.
// All functions may be called concurrently.
package wire
