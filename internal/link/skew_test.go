package link

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/counterweight-dev/counterweight/internal/link/linkpb"
)

// While an installation is upgraded, operator and agents are of two versions for some minutes. A field that one of
// them does not know yet is no reason for the other to end a stream: a lease would run out with it.

// newer adds a field of a later version to a message and to every message in it.
func newer(m protoreflect.Message) {
	m.SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 1000, protowire.BytesType), []byte("later")))
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				newer(v.List().Get(i).Message())
			}
		default:
			newer(v.Message())
		}
		return true
	})
}

// sent is a message as the other side reads it.
func sent[T proto.Message](t *testing.T, m T) T {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := m.ProtoReflect().New().Interface().(T)
	if err := proto.Unmarshal(data, got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFieldsOfANewerVersionAreNoHindrance(t *testing.T) {
	hello, order := someHello(), someLease()
	for name, want := range map[string]Order{"hello": {Hello: &hello}, "lease": {Lease: &order}} {
		m := orderToWire(want)
		newer(m.ProtoReflect())
		got, err := orderFromWire(sent(t, m))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	m := reportToWire(someReport())
	newer(m.ProtoReflect())
	got, err := reportFromWire(sent(t, m), nil)
	if diff := cmp.Diff(someReport(), got); err != nil || diff != "" {
		t.Errorf("report: %v %s", err, diff)
	}
}

// Only what says who speaks to whom, and in which order, has always been there; whatever else an older version does not
// send is as if it were nothing.
func TestFieldsOfAnOlderVersionMayBeMissing(t *testing.T) {
	hello, order := someHello(), someLease()
	tests := map[string]struct {
		message func() proto.Message
		parse   func(proto.Message) error
		always  []protoreflect.Name
	}{
		"hello": {
			func() proto.Message { return orderToWire(Order{Hello: &hello}).GetHello() },
			func(m proto.Message) error { _, err := helloFromWire(m.(*linkpb.Hello)); return err },
			[]protoreflect.Name{"epoch", "run", "generation"},
		},
		"assignment": {
			func() proto.Message { return orderToWire(Order{Hello: &hello}).GetHello().GetAssignment() },
			func(m proto.Message) error {
				_, err := helloFromWire(&linkpb.Hello{Epoch: 1, Run: 1, Generation: 1, Assignment: m.(*linkpb.Assignment)})
				return err
			}, nil,
		},
		"lease": {
			func() proto.Message { return orderToWire(Order{Lease: &order}).GetLease() },
			func(m proto.Message) error { _, err := leaseFromWire(m.(*linkpb.Lease)); return err },
			[]protoreflect.Name{"epoch", "run", "seq"},
		},
		"report": {
			func() proto.Message { return reportToWire(someReport()) },
			func(m proto.Message) error { _, err := reportFromWire(m.(*linkpb.Report), nil); return err },
			[]protoreflect.Name{"run"},
		},
	}
	for name, test := range tests {
		fields := test.message().ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			field := fields.Get(i)
			m := test.message()
			m.ProtoReflect().Clear(field)
			if err := test.parse(sent(t, m)); (err != nil) != slices.Contains(test.always, field.Name()) {
				t.Errorf("%s without %s: %v", name, field.Name(), err)
			}
		}
	}
}

func TestAnOrderOfALaterKindKeepsTheStream(t *testing.T) {
	agent := newStub()
	later := &linkpb.Order{}
	newer(later.ProtoReflect())
	told := orderToWire(Order{Lease: new(someLease())})
	stream := &scripted{orders: []*linkpb.Order{sent(t, later), told}}
	s := &server{agent: agent, podUID: podUID}
	if err := s.receive(t.Context(), stream); !errors.Is(err, errScriptEnds) {
		t.Fatalf("ended with %v", err)
	}
	if diff := cmp.Diff(someLease(), *(<-agent.orders).Lease); diff != "" {
		t.Error(diff)
	}
}

var errScriptEnds = errors.New("no more orders")

// scripted is a stream on which these orders come.
type scripted struct {
	grpc.BidiStreamingServer[linkpb.Order, linkpb.Report]
	orders []*linkpb.Order
}

func (s *scripted) Recv() (*linkpb.Order, error) {
	if len(s.orders) == 0 {
		return nil, errScriptEnds
	}
	first := s.orders[0]
	s.orders = s.orders[1:]
	return first, nil
}
