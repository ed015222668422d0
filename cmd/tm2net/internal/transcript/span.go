package transcript

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Span is some bytes and what they mean.
type Span struct {
	Bytes []byte
	Text  string
	Depth int // how deep the message is in others
}

// schema says what the fields of a message mean, by their numbers.
type schema map[protowire.Number]field

// field is what a field means. Exactly one way to explain its value is set; none means bytes.
type field struct {
	name   string
	inner  schema                           // a message
	text   bool                             // a text
	number func(uint64) string              // a number
	any    bool                             // a message with its type
	value  func(*explainer, []byte, string) // spans of its own
}

// explainer makes spans of bytes, each byte in exactly one.
type explainer struct {
	spans []Span
	depth int
}

func (e *explainer) add(data []byte, format string, args ...any) {
	if len(data) > 0 {
		e.spans = append(e.spans, Span{Bytes: data, Text: fmt.Sprintf(format, args...), Depth: e.depth})
	}
}

// within explains what is inside of the message that was last named.
func (e *explainer) within(explain func()) {
	e.depth++
	explain()
	e.depth--
}

// varint explains a length or number at the start of data. It returns no rest if there is none.
func (e *explainer) varint(data []byte, name string) (value uint64, rest []byte, ok bool) {
	value, n := protowire.ConsumeVarint(data)
	if n < 0 {
		e.add(data, "%s, not a whole varint", name)

		return 0, nil, false
	}
	e.add(data[:n], "%s: %d", name, value)

	return value, data[n:], true
}

// sized explains a message behind its length, and returns what is after it. A message that is
// not whole is explained as far as it goes.
func (e *explainer) sized(data []byte, name string, explain func([]byte)) (rest []byte) {
	size, body, ok := e.varint(data, "length of the "+name)
	if !ok {
		return nil
	}
	if size > uint64(len(body)) {
		e.within(func() { e.add(body, "%s, of which %d bytes are missing", name, size-uint64(len(body))) })

		return nil
	}
	e.within(func() { explain(body[:size]) })

	return body[size:]
}

// message explains the fields of a message.
func (e *explainer) message(body []byte, fields schema) {
	for len(body) > 0 {
		number, wireType, n := protowire.ConsumeTag(body)
		if n < 0 {
			e.add(body, "not a field")

			return
		}
		f, known := fields[number]
		if !known {
			f.name = "not known here"
		}
		e.add(body[:n], "field %d, %s: %s", number, wireName(wireType), f.name)
		body = e.fieldValue(body[n:], number, wireType, f)
	}
}

// fieldValue explains the value of a field and returns what is after it.
func (e *explainer) fieldValue(body []byte, number protowire.Number, wireType protowire.Type, f field) (rest []byte) {
	e.depth++
	defer func() { e.depth-- }()
	switch wireType {
	case protowire.BytesType:
		size, value, ok := e.varint(body, "length")
		if !ok {
			return nil
		}
		if size > uint64(len(value)) {
			e.add(value, "%s, of which %d bytes are missing", f.name, size-uint64(len(value)))

			return nil
		}
		e.bytesValue(value[:size], f)

		return value[size:]
	case protowire.VarintType:
		value, n := protowire.ConsumeVarint(body)
		switch {
		case n < 0:
			e.add(body, "not a whole varint")

			return nil
		case f.number != nil:
			e.add(body[:n], "%s", f.number(value))
		default:
			e.add(body[:n], "%d", value)
		}

		return body[n:]
	default:
		n := protowire.ConsumeFieldValue(number, wireType, body)
		if n < 0 {
			n = len(body)
		}
		e.add(body[:n], "%s", f.name)

		return body[n:]
	}
}

// bytesValue explains the bytes of a field.
func (e *explainer) bytesValue(value []byte, f field) {
	switch {
	case f.inner != nil:
		e.message(value, f.inner)
	case f.any:
		e.any(value)
	case f.value != nil:
		f.value(e, value, f.name)
	case f.text:
		e.add(value, "%q", value)
	default:
		e.add(value, "%s", f.name)
	}
}

func wireName(t protowire.Type) string {
	switch t {
	case protowire.VarintType:
		return "number"
	case protowire.BytesType:
		return "bytes"
	case protowire.Fixed32Type:
		return "4 bytes"
	case protowire.Fixed64Type:
		return "8 bytes"
	default:
		return fmt.Sprintf("wire type %d, which TM2 does not use", t)
	}
}
