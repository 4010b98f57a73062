package braiins

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is the wire form of one message of the gRPC interface, put together field by field: as many
// numbers as clients ask for, and no generated code.
type message []byte

// whole adds a whole number, a flag or a value of an enumeration; like every writer of this form it leaves out a zero.
func (b message) whole(field protowire.Number, v uint64) message {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func (b message) flag(field protowire.Number, v bool) message {
	return b.whole(field, protowire.EncodeBool(v))
}

func (b message) real(field protowire.Number, v float64) message {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), math.Float64bits(v))
}

func (b message) text(field protowire.Number, v string) message {
	if v == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}

// inner adds a message, also an empty one.
func (b message) inner(field protowire.Number, v message) message {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

// fields are the last value of each field of a message: whole numbers, and bytes of texts and messages.
type fields struct {
	whole map[protowire.Number]uint64
	bytes map[protowire.Number][]byte
}

// parseFields tells whether b is a message at all.
func parseFields(b []byte) (fields, bool) {
	f := fields{map[protowire.Number]uint64{}, map[protowire.Number][]byte{}}
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return f, false
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			f.whole[field], n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes[field], n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return f, false
		}
		b = b[n:]
	}
	return f, true
}
