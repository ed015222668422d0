package rawnative

import (
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// Bounds on what the remote sends, in bytes and packets.
const (
	maxPacket  = 64 << 10
	maxMessage = 1 << 20
	maxPackets = 1 << 16 // in one wait
)

// Ping sends a ping and waits for a pong.
func (p *Peer) Ping() {
	p.Message(wire.AppendPing(nil))
	p.AwaitPong()
}

// AwaitPong reads packets up to the next pong.
func (p *Peer) AwaitPong() {
	p.await(func(k wire.Packet) bool { return k.Kind == wire.PacketPong })
}

// AwaitMessage reads packets until the remote has completed a message on the channel that it
// had not when the wait began.
func (p *Peer) AwaitMessage(ch byte) []byte {
	before := p.completed[ch]
	p.await(func(wire.Packet) bool { return p.completed[ch] > before })

	return p.last[ch]
}

// AwaitPing reads packets up to the next ping.
func (p *Peer) AwaitPing() {
	p.await(func(k wire.Packet) bool { return k.Kind == wire.PacketPing })
}

// await reads packets until one is wanted. Pings are answered.
func (p *Peer) await(wanted func(wire.Packet) bool) {
	end := time.Now().Add(p.patience)
	former := p.patience
	defer func() { p.patience = former }()
	for range maxPackets {
		p.patience = max(time.Until(end), time.Millisecond)
		packet := p.packet()
		if p.failure != nil || wanted(packet) {
			return
		}
	}
	p.fail(fmt.Errorf("none of %d packets of the remote is the one to come", maxPackets))
}

// packet reads one packet.
func (p *Peer) packet() wire.Packet {
	body := p.sized(maxPacket)
	if p.failure != nil {
		return wire.Packet{}
	}
	packet, err := wire.DecodePacket(body)
	if err != nil {
		p.fail(fmt.Errorf("malformed packet of the remote: %w", err))

		return wire.Packet{}
	}
	switch packet.Kind {
	case wire.PacketPing:
		p.Message(wire.AppendPong(nil))
	case wire.PacketMsg:
		p.collect(packet)
	}

	return packet
}

func (p *Peer) collect(packet wire.Packet) {
	ch := packet.Channel
	if len(p.partial[ch])+len(packet.Payload) > maxMessage {
		p.fail(fmt.Errorf("the remote sends a message of more than %d bytes on channel %#02x", maxMessage, ch))

		return
	}
	p.partial[ch] = append(p.partial[ch], packet.Payload...)
	if !packet.EOF {
		return
	}
	p.last[ch] = p.partial[ch]
	p.completed[ch]++
	delete(p.partial, ch)
}
