package protocol

// The events.
const (
	// EventListening is the first event. Addr and NodeInfo are those of the process.
	EventListening = "listening"
	// EventPeerUp reports that every reactor has been told of a peer, EventPeerDown that
	// every reactor has been told of its end, with the Reason.
	EventPeerUp   = "peer-up"
	EventPeerDown = "peer-down"
	// EventReceived reports one message by its length and hash. Seq counts the messages of
	// the peer on the channel since EventPeerUp.
	EventReceived = "received"
	// EventSent reports that the switch has accepted all messages of a CmdSend for the
	// peer. When a Send returns false, EventError is sent instead.
	EventSent = "sent"
	// EventDiscovery reports one valid message of the discovery channel: a Request, or a
	// response with Addrs.
	EventDiscovery = "discovery"
	// EventDialFailed reports that Addr could not be dialed.
	EventDialFailed = "dial-failed"
	// EventLog is one log record of a node, in Reason.
	EventLog = "log"
	// EventError reports that a command failed in whole or in part.
	EventError = "error"
)

// Event is one line of stdout. Which fields are set depends on Event.
type Event struct {
	Event    string    `json:"event"`
	Peer     string    `json:"peer,omitempty"` // ID
	Addr     string    `json:"addr,omitempty"` // ID@IP:port
	Outbound bool      `json:"outbound,omitempty"`
	NodeInfo *NodeInfo `json:"node_info,omitempty"`
	Reason   string    `json:"reason,omitempty"`

	Channel byte   `json:"channel,omitempty"`
	Length  int    `json:"length,omitempty"`
	SHA256  string `json:"sha256,omitempty"` // hex
	Seq     uint64 `json:"seq,omitempty"`
	Count   int    `json:"count,omitempty"`

	Request bool     `json:"request,omitempty"`
	Addrs   []string `json:"addrs,omitempty"`
}

// NodeInfo has every field of a TM2 NodeInfo, in a form in which two stacks can be compared.
type NodeInfo struct {
	Versions   []string `json:"versions"` // name version optional
	NetAddress string   `json:"net_address"`
	Network    string   `json:"network"`
	Software   string   `json:"software"`
	Version    string   `json:"version"`
	Channels   string   `json:"channels"` // hex
	Moniker    string   `json:"moniker"`
	TxIndex    string   `json:"tx_index"`
	RPCAddress string   `json:"rpc_address"`
}
