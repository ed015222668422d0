// Package lp2p is the libp2p stack of the adapter: compat.Transport and
// compat.PeerConn over go-libp2p.
//
// A TM2 peer over libp2p is a session inside one libp2p connection. A session has a
// control stream, which carries the handshake and the goodbye, and for each channel and
// direction one long-lived stream of length-prefixed messages, which opens with the first
// message. docs/sessions.md specifies the protocol for implementations in any language.
//
// The libp2p identity of a node is its TM2 node key, so the TM2 ID follows from the peer
// ID ([TM2ID]). The reverse needs a look-up: Dial uses the peer ID that it has learned
// before, and otherwise learns it in the handshake with the node that answers at the address
// (docs/decisions/0005), or by asking that node before ([ProbeIdentity]). It makes no
// session with any other node than the one that was dialed.
//
// # Delivery
//
// A message for which Send returned true is delivered in order and exactly once, or the
// session ends on both sides. Every failure of a stream ends the whole session, and no
// stream is opened twice. FlushStop learns from the remote which messages its reactors have
// received. One Receive runs at a time.
//
// # Sessions and connections
//
// Several sessions may share one libp2p connection: two nodes that dial each other at the
// same time have two for a moment, and a bridge presents each native node in a session with
// a delegated identity ([Transport.DialAs]). The failure of one session does not affect the
// others. The connection is closed after its last session.
//
// A listener of our own accepts TCP connections (docs/decisions/0014). One whose remote has
// not proved its ID holds a place that it may lose to another network, and no resources of
// libp2p's. One that has proved its ID, and has no session, may lose its room in the same way,
// over TCP and QUIC. See [Limits.Connections], [Limits.ConnectionsInbound], [Timeouts.Handshake] and [WithProxyProtocol].
//
// Connections run over TCP with yamux, and with [WithQUIC] also over QUIC. The priorities
// of the channel descriptors are honoured over TCP; QUIC serves its streams in turn.
//
// # Where the node is
//
// The host announces the address of the NodeInfo beside those of its listeners. If that
// address has a host name, the name is looked up from Listen on, until it resolves and then
// every 5 minutes. If the NodeInfo has no IP and the node listens at all addresses of its
// machine, the address counts at which peers of three networks have dialed it. Connected
// peers are told of a change by identify, and the peers of later sessions by NodeInfo.
//
// The transport warns if peers of three networks show that the clock of this node is wrong:
// by delegations and what is said in refusals of them, and by peer records from the future.
//
// # Strangers
//
// What a remote may use before the switch has decided about it is bounded by [Limits], in
// all, for one IP and for one peer. It takes nothing away from running sessions and from
// configured peers. [WithRates] bounds what an admitted peer sends.
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
// The handshakes with the result "ok", less the sessions that have ended, are the peers.
//
// Results, reasons and codes are the names of refusal codes (compat.RejectCode), or "ok",
// "busy", "failed", "stopped", "wrong_id", "foreign" and "other". Channels are those of
// this node's descriptors. So no remote can add series. Messages cost neither a lock nor
// memory for metrics: a scrape reads what the sessions count. A message is not counted if
// its session ends during its Receive.
package lp2p
