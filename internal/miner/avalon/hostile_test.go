package avalon

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire"
)

func TestHostileMachines(t *testing.T) {
	cases := map[string]string{
		"deep JSON":           strings.Repeat("[", 100_000),
		"an endless reply":    `{"STATUS":"S","Msg":"` + strings.Repeat("a", 2<<20) + `"}`,
		"an endless text":     "STATUS=S,Msg=" + strings.Repeat("a", 2<<20),
		"commas without end":  "STATUS=S,Msg=" + strings.Repeat(",", 1<<20-100) + "\x00",
		"equals without end":  "STATUS=S,Msg=" + strings.Repeat("=,", 1<<19-100) + "\x00",
		"bars without end":    "STATUS=S|" + strings.Repeat("|", 1<<20-100) + "\x00",
		"a NUL in the middle": "{\"STATUS\":\"S\x00\",\"VERSION\":{}}",
		"half a word":         "STAT",
		"noise without end":   strings.Repeat(" \n\x00", 1000),
		"a gzip":              "\x1f\x8b\x08\x00\x00\x00\x00\x00",
		"HTTP":                "HTTP/1.1 400 Bad Request\r\n\r\n",
		"SSH":                 "SSH-2.0-dropbear\r\n",
		"wrong types":         `{"STATUS":7,"VERSION":[[]],"STATS":{"MM ID0":7},"SUMMARY":"x"}`,
		"only text":           "STATUS=S",
	}
	for name, reply := range cases {
		t.Run(name, func(t *testing.T) {
			at := listen(t, func(conn net.Conn) {
				_, _ = conn.Read(make([]byte, 4096))
				_, _ = io.WriteString(conn, reply)
			})
			d := New(miner.Target{Address: at.Addr(), Port: int(at.Port())})
			if _, err := d.Identify(t.Context()); !errors.Is(err, miner.ErrNotThisFirmware) || len(err.Error()) > 2000 {
				t.Errorf("identify: error of %d bytes: %.300v", len(err.Error()), err)
			}
			d.how = bare
			err := d.Apply(t.Context(), miner.Setting{Kind: miner.Sleep})
			if saysYes := strings.HasPrefix(reply, "STATUS=S") && len(reply) < wire.MaxReply; !saysYes && (err == nil || len(err.Error()) > 2000) {
				t.Errorf("sleep: %.300v", err)
			}
			if r, err := d.Read(t.Context()); err == nil && r.State != miner.Unknown {
				t.Errorf("read %+v", r)
			}
		})
	}
}

// What greets first and keeps the connection is no machine of this kind, and is not waited for.
func TestOthersAreNotWaitedFor(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	at := listen(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "SSH-2.0-dropbear\r\n")
		<-hold
	})
	done := make(chan error, 1)
	go func() { done <- Probe(t.Context(), miner.Target{Address: at.Addr(), Port: int(at.Port())}) }()
	select {
	case err := <-done:
		if !errors.Is(err, miner.ErrNotThisFirmware) {
			t.Errorf("error %v", err)
		}
	case <-time.After(wire.ExchangeTimeout / 2):
		t.Error("it is waited for")
	}
}

func TestReadReply(t *testing.T) {
	cases := map[string]struct {
		in, want string
		err      error
	}{
		"JSON":                    {in: "{\"a\":1}\x00", want: `{"a":1}`},
		"JSON after noise":        {in: "\x00\n {\"a\":1}garbage", want: `{"a":1}`},
		"text, by NUL":            {in: "STATUS=S,Msg=PS[0 1]|STATS=0|\x00garbage", want: "STATUS=S,Msg=PS[0 1]|STATS=0|"},
		"text, by close":          {in: "\nSTATUS=S|\n", want: "STATUS=S|"},
		"too long":                {in: "STATUS=" + strings.Repeat("x", wire.MaxReply), err: wire.ErrTooLarge},
		"as long as is allowed":   {in: "STATUS=" + strings.Repeat("x", wire.MaxReply-7), want: "STATUS=" + strings.Repeat("x", wire.MaxReply-7)},
		"nothing":                 {in: "", err: wire.ErrTruncated},
		"noise":                   {in: strings.Repeat("\n", maxNoise+1), err: wire.ErrTruncated},
		"another word":            {in: "STATUE=", err: wire.ErrTruncated},
		"less than a first word":  {in: "STATUS", err: wire.ErrTruncated},
		"JSON that is cut short":  {in: `{"a":`, err: wire.ErrTruncated},
		"brackets and no closing": {in: "STATUS=[[[[\x00", want: "STATUS=[[[["},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := readReply(strings.NewReader(c.in))
			if string(got) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%.60q, %v", got, err)
			}
		})
	}
}
