package wire

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadReply(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth+1)
	cases := map[string]struct {
		in, want string
		err      error
	}{
		"closed":                  {in: `{"a":1}`, want: `{"a":1}`},
		"NUL":                     {in: "{\"a\":1}\x00", want: `{"a":1}`},
		"leading noise":           {in: "\x00\n\n  {\"a\":1}\n", want: `{"a":1}`},
		"complete, then garbage":  {in: `{"a":1}}{x`, want: `{"a":1}`},
		"newlines inside":         {in: "{\n\"a\":\n[1,\n2]\n}\n", want: "{\n\"a\":\n[1,\n2]\n}"},
		"braces in a string":      {in: `{"a":"}{]\"}"}x`, want: `{"a":"}{]\"}"}`},
		"array":                   {in: `[1,{"b":2}]`, want: `[1,{"b":2}]`},
		"cut by close":            {in: `{"a":`, err: ErrTruncated},
		"cut by NUL":              {in: "{\"a\":\x00", err: ErrTruncated},
		"nothing":                 {in: "", err: ErrTruncated},
		"only NUL":                {in: "\x00\x00", err: ErrTruncated},
		"no JSON":                 {in: "SSH-2.0-dropbear\r\n", err: ErrTruncated},
		"too deep":                {in: deep, err: ErrTooLarge},
		"too long":                {in: `{"a":"` + strings.Repeat("x", MaxReply) + `"}`, err: ErrTooLarge},
		"too long, never ending":  {in: strings.Repeat("x", 2*MaxReply), err: ErrTooLarge},
		"as deep as is allowed":   {in: strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), want: strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)},
		"stray closing brackets":  {in: `}]{"a":1}`, want: `}]{"a":1}`},
		"quote before the object": {in: `"{"a":1}`, want: `"{"a":1}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for way, r := range map[string]io.Reader{
				"whole": strings.NewReader(c.in), "by bytes": iotest.OneByteReader(strings.NewReader(c.in)),
				"data with EOF": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				if way == "by bytes" && len(c.in) > MaxReply {
					continue
				}
				got, err := ReadReply(r)
				if !errors.Is(err, c.err) || string(got) != c.want {
					t.Errorf("%s: got %.40q, error %v; want %.40q, %v", way, got, err, c.want, c.err)
				}
			}
		})
	}
	broken := errors.New("reset")
	if _, err := ReadReply(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error %v hides its cause", err)
	}
}

// A machine that keeps the connection open must not be waited for.
func TestReadReplyDoesNotWait(t *testing.T) {
	for sent, want := range map[string]string{`{"a":1}`: `{"a":1}`, "{\"a\":1}\x00": `{"a":1}`, "{\"a\":\x00": ""} {
		r, w := io.Pipe()
		go func() { _, _ = w.Write([]byte(sent)) }()
		got, err := ReadReply(r)
		if string(got) != want || (err != nil) != (want == "") {
			t.Errorf("%q was read as %q, %v", sent, got, err)
		}
		r.Close()
	}
}

// A reply without end is given up at the bound.
func TestReadReplyIsBounded(t *testing.T) {
	flood := &flood{}
	if _, err := ReadReply(flood); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v is no ErrTooLarge", err)
	}
	if flood.sent > MaxReply+1<<16 {
		t.Errorf("%d bytes were read", flood.sent)
	}
}

type flood struct{ sent int }

func (f *flood) Read(p []byte) (int, error) {
	if f.sent += len(p); f.sent > 4*MaxReply {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

type sample struct {
	N Number
	T Text
	F Flag
	L List[struct{ A Number }]
}

func TestValues(t *testing.T) {
	cases := map[string]struct {
		in   string
		want sample
	}{
		"plain": {`{"N":5.5,"T":"x","F":true}`, sample{N: Number{5.5, true}, T: "x", F: Flag{true, true}}},
		"as strings": {
			`{"N":" 5.5 ","T":12,"F":"false"}`, sample{N: Number{5.5, true}, T: "12", F: Flag{false, true}},
		},
		"null":      {`{"N":null,"T":null,"F":null,"L":null}`, sample{}},
		"odd types": {`{"N":[1],"T":{"a":1},"F":[true],"L":"x"}`, sample{}},
		"no number": {`{"N":"NaN"}`, sample{}},
		"infinite":  {`{"N":"-Inf"}`, sample{}},
		"huge":      {`{"N":1e300}`, sample{}},
		"a list of objects": {
			`{"L":[{"A":1},7,null,{"A":"2"},{"A":[]}]}`,
			sample{L: List[struct{ A Number }]{{Number{1, true}}, {Number{2, true}}, {}}},
		},
		"one bare object": {`{"L":{"A":3}}`, sample{L: List[struct{ A Number }]{{Number{3, true}}}}},
		"quotes in text":  {`{"T":"'20210322.22.REL'\u0000\n"}`, sample{T: "20210322.22.REL"}},
		"words for flags": {`{"F":"On"}`, sample{F: Flag{true, true}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got sample
			if err := Decode([]byte(c.in), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	var syntax *json.SyntaxError
	if err := Decode([]byte(`{"N":`), &sample{}); !errors.As(err, &syntax) {
		t.Errorf("broken JSON gave %v", err)
	}
	if err := Decode([]byte(`[]`), &sample{}); err != nil {
		t.Errorf("a list for an object gave %v", err)
	}
}

func TestWatts(t *testing.T) {
	cases := map[string]struct {
		n    Number
		want int64 // -1 is nil
	}{
		"unset": {Number{}, -1}, "zero": {Number{0, true}, 0}, "rounded up": {Number{3137.01, true}, 3138},
		"negative": {Number{-1, true}, -1}, "the most": {Number{MaxWatts, true}, MaxWatts}, "no machine": {Number{MaxWatts + 1, true}, -1},
	}
	for name, c := range cases {
		got := int64(-1)
		if watts := c.n.Watts(); watts != nil {
			got = *watts
		}
		if got != c.want {
			t.Errorf("%s: %d W, want %d", name, got, c.want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for n, want := range map[Number]time.Duration{
		{86461, true}: 86461 * time.Second, {2.9, true}: 2 * time.Second, {0, true}: 0,
		{}: -1, {-4, true}: -1, {1e12, true}: -1,
	} {
		got := time.Duration(-1)
		if d := n.Seconds(); d != nil {
			got = *d
		}
		if got != want {
			t.Errorf("%+v is %v, want %v", n, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	long := strings.Repeat("é", 400)
	if got := Clean(long); len(got) > maxText || !strings.HasPrefix(long, got) || len(got) < maxText/2 {
		t.Errorf("%d bytes of %q", len(got), got)
	}
	if got := Clean("\x1b[31mred\r\n"); got != "[31mred" {
		t.Errorf("%q", got)
	}
}

func TestMACAndSerial(t *testing.T) {
	for in, want := range map[Text]string{
		"7C:07:6A:11:22:33": "7c:07:6a:11:22:33", "7c-07-6a-11-22-33": "7c:07:6a:11:22:33", "": "",
		"00:00:00:00:00:00": "", "string": "", "00:00:5e:00:53:01:00:00": "",
	} {
		if got := MAC(in); got != want {
			t.Errorf("MAC(%q) is %q", in, got)
		}
	}
	for in, want := range map[Text]string{"SN1": "SN1", "N/A": "", "unknown": "", "": ""} {
		if got := Serial(in); got != want {
			t.Errorf("Serial(%q) is %q", in, got)
		}
	}
}
