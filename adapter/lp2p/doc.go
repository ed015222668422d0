// Package lp2p is the libp2p stack of the adapter: compat.Transport and
// compat.PeerConn over go-libp2p.
//
// A TM2 peer over libp2p is a session inside one libp2p connection: a control
// stream that carries the handshake and the goodbye, and for each channel and
// direction one long-lived stream of length-prefixed messages, opened when the
// first message is sent. docs/sessions.md specifies the protocol exactly enough
// to implement it in another language.
//
// The libp2p identity of a node is its TM2 node key, so a TM2 ID is computed from
// a peer ID ([TM2ID]). The way back needs a look-up: Dial uses what it has learned
// before and otherwise asks who answers at the address ([ProbeIdentity]). It never
// connects to anybody but the peer that was asked for.
//
// # Delivery
//
// A message for which Send returned true is delivered in order and exactly once,
// or the session ends on both sides: every failure of a stream ends the whole
// session, a receiver never reopens one, and FlushStop learns from the remote
// which messages its reactors have received. One Receive runs at a time.
//
// # Sessions and connections
//
// Several sessions may share one libp2p connection: two nodes that dial each
// other have two for a moment, and a bridge presents each native node in a
// session with a delegated identity ([Transport.DialAs]). Sessions fail alone. The
// connection is closed after its last session.
//
// They run over TCP with yamux, and with [WithQUIC] over QUIC too. The priorities of
// the channel descriptors are honoured over TCP; QUIC serves its streams in turn.
//
// # Metrics
//
// [WithPrometheus] exports tm2_p2p_peers and tm2_p2p_handshakes_total by direction,
// the latter also by result; tm2_p2p_probes_total by result;
// tm2_p2p_sessions_ended_total by reason; tm2_p2p_rejects_sent_total,
// tm2_p2p_rejects_received_total, tm2_p2p_goodbyes_sent_total and
// tm2_p2p_goodbyes_received_total by code; tm2_p2p_messages_sent_total,
// tm2_p2p_messages_received_total, tm2_p2p_message_send_bytes_total,
// tm2_p2p_message_receive_bytes_total, tm2_p2p_send_queue_full_total and
// tm2_p2p_send_queue_messages by channel, as "0x20"; and tm2_p2p_send_queue_bytes.
// Sessions are opened by handshakes whose result is "ok": those less the ended ones
// are the peers.
//
// Results, reasons and codes are the names of refusal codes (compat.RejectCode) or
// "ok", "busy", "failed", "stopped", "wrong_id", "foreign" and "other"; channels are
// those of this node's descriptors. So no remote makes the series more. Messages cost
// no lock and no memory: what sessions count anyhow is read on a scrape, and added to
// what those before them have counted when they end. A message in whose Receive its
// session ends is not counted.
package lp2p
