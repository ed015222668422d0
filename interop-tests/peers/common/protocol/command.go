package protocol

// The commands.
const (
	// CmdSend sends Count messages of Size bytes (see Payload). Commands for one channel
	// are executed in order, those for different channels concurrently. The answer is one
	// EventSent per peer.
	CmdSend = "send"
	// CmdDial dials Addr once.
	CmdDial = "dial"
	// CmdStop ends the process, as the end of stdin does.
	CmdStop = "stop"
)

// AllPeers is the Peer of a CmdSend to all connected peers.
const AllPeers = "*"

// Command is one line of stdin.
type Command struct {
	Cmd     string `json:"cmd"`
	Peer    string `json:"peer,omitempty"` // ID, or AllPeers
	Channel byte   `json:"channel,omitempty"`
	Size    int    `json:"size,omitempty"` // bytes of each message
	Count   int    `json:"count,omitempty"`
	Seed    uint64 `json:"seed,omitempty"`
	Addr    string `json:"addr,omitempty"` // ID@IP:port
}
