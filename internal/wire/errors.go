package wire

import "errors"

// ErrTooLarge is wrapped by the error of [ReadSized] when a length prefix
// announces more than the caller's limit. ReadSized has not read any byte of the
// body then.
var ErrTooLarge = errors.New("wire: message above its size limit")

// DecodeError says why bytes from the network are not a valid message.
type DecodeError struct {
	Message string // kind of message, for example "node info"
	Field   string // field of that message; empty when the message itself is wrong
	Reason  string // what is wrong with it
}

// Error names the message, the field if there is one, and the reason.
func (e *DecodeError) Error() string {
	if e.Field == "" {
		return "wire: " + e.Message + ": " + e.Reason
	}

	return "wire: " + e.Message + ": " + e.Field + ": " + e.Reason
}
