package whatsminer

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
)

// V3 serves API v3.
type V3 struct{}

// NewV3 makes a front; it holds nothing to close.
func NewV3() *V3 { return &V3{} }

// Port is API v3's own.
func (*V3) Port() uint16 { return 4433 }

// ResidualWatts with the boards off.
func (*V3) ResidualWatts() float64 { return residual }

// Adopt gives a device its firmware.
func (*V3) Adopt(d *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	st := newState(d, t, s, cmp.Or(d.Password, account))
	st.framed = true
	return st, st.order()
}

// Doors is the port of API v2, where these machines can be read still.
func (*V3) Doors() []minersim.Door {
	return []minersim.Door{{Name: "v2", Port: NewV2().Port(), Serve: NewV2().Serve}}
}

// Serve answers one framed request after the other.
func (f *V3) Serve(d *minersim.Device, c net.Conn) {
	defer func() { _ = c.Close() }()
	for {
		// The deadline guards a real socket: real time, whatever clock the physics runs on.
		_ = c.SetDeadline(minersim.Wall{}.Now().Add(idle))
		request, err := readFrame(c)
		if err != nil {
			return
		}
		a := f.answer(d, request)
		if a.cut {
			minersim.Reset(c)
			return
		}
		if a.held {
			_ = c.SetDeadline(time.Time{})
			d.Hold(nil)
			_ = c.SetDeadline(minersim.Wall{}.Now().Add(idle))
		}
		if _, err := c.Write(frame(a.out)); err != nil {
			return
		}
	}
}

var errFrame = errors.New("frame of no or of too much length")

// readFrame reads a length, low byte first, and as many bytes of JSON.
func readFrame(c io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > maxRequest {
		return nil, errFrame
	}
	body := make([]byte, n)
	_, err := io.ReadFull(c, body)
	return body, err
}

func frame(body []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// answer runs a request under the device's lock.
func (f *V3) answer(d *minersim.Device, raw []byte) (a answer) {
	d.Do(func(m *minersim.Machine) {
		if !m.Reachable() {
			a.cut = true
			return
		}
		c := callAt(d, m)
		var f fields
		if json.Unmarshal(raw, &f) != nil {
			a.out = c.say("", result{failInvalid, "invalid json"})
			return
		}
		name, _ := f["cmd"].(string)
		if strings.HasPrefix(name, "set.") {
			a = c.change(name, f)
			return
		}
		a.out = c.say(name, c.tell(name, f["param"]))
	})
	return a
}

// Codes of API v3: 0 is success.
const (
	failCommand    = -1
	failInvalid    = -2
	failNoParam    = -3
	failPermission = -4
)

// result is a code and what comes with it.
type result struct {
	code int
	msg  any
}

func (c *call) say(name string, r result) []byte {
	out, _ := json.Marshal(object{"code": r.code, "when": c.now.Unix(), "msg": r.msg, "desc": name})
	return out
}

// account is the one that may write; its password is the same word until it is changed.
const account = "super"

// tokenV3 is what a request must carry: it is good for that command and that instant only.
func tokenV3(command, password, salt, ts string) string {
	sum := sha256.Sum256([]byte(command + password + salt + ts))
	return base64.StdEncoding.EncodeToString(sum[:])[:8]
}

// change runs a write, if its token is right.
func (c *call) change(name string, f fields) answer {
	write, ok := changes[name]
	if name == c.modeCommand() {
		write, ok = changeMode, true
	}
	switch {
	case !ok:
		return answer{out: c.say(name, result{failInvalid, "invalid command"})}
	case !c.entitled(name, f):
		return answer{out: c.say(name, result{failCommand, "account or password is wrong"})}
	case !c.APISwitch || f.text("account") != account:
		return answer{out: c.say(name, result{failPermission, "no permission for write command"})}
	}
	if name == "set.system.reboot" || name == "set.miner.restore_setting" {
		write(c, nil)
		return answer{cut: true}
	}
	param, ok := f["param"]
	if !ok || param == nil {
		return answer{out: c.say(name, result{failNoParam, "param item is null"})}
	}
	c.contest(c.m)
	return answer{out: c.say(name, write(c, param)), held: true}
}

// modeCommand is how the power mode is set: sources disagree.
func (c *call) modeCommand() string {
	if c.Quirks {
		return "set.miner.mode"
	}
	return "set.miner.power_mode"
}

// entitled checks the token. How far ts may lie from the machine's clock is not known, so any
// will do.
func (c *call) entitled(name string, f fields) bool {
	ts, ok := f["ts"].(float64)
	users := map[string]bool{account: true, "user1": true, "user2": true, "user3": true}
	if !ok || !users[f.text("account")] {
		return false
	}
	password := cmp.Or(c.d.Password, f.text("account"))
	want := tokenV3(name, password, c.tokens.salt, strconv.FormatInt(int64(ts), 10))
	return f.text("token") == want
}

var (
	done    = result{0, "ok"}
	refused = result{failCommand, "invalid param"}
	failed  = result{failCommand, "command failed"}
)

func doneIf(ok bool) result {
	if !ok {
		return failed
	}
	return done
}

// changes are the writes.
var changes = map[string]func(*call, any) result{
	"set.miner.service":       changeService,
	"set.miner.power_limit":   changeLimit,
	"set.miner.power":         changeWatts,
	"set.miner.power_percent": changePercent,
	"set.miner.fastboot":      changeFastBoot,
	"set.miner.upfreq_speed":  changeUpfreq,
	"set.system.reboot": func(c *call, _ any) result {
		c.m.CommandReboot(false)
		return done
	},
	"set.miner.restore_setting": func(c *call, _ any) result {
		c.settings = c.factory()
		c.m.CommandReboot(false)
		return done
	},
}

func changeService(c *call, param any) result {
	switch param {
	case "start":
		c.powerOn(c.m)
	case "stop":
		c.powerOff(c.m)
	case "restart":
		c.restart(c.m, 0)
	case "enable":
		c.initial = true
	case "disable":
		c.initial = false
	default:
		return refused
	}
	return done
}

// whole reads a number that may come as one or as text.
func whole(v any, least, most int) (int, bool) {
	n, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	if err != nil || n != float64(int(n)) {
		return 0, false
	}
	return int(n), int(n) >= least && int(n) <= most
}

func changeLimit(c *call, param any) result {
	n, ok := whole(param, 0, maxWatts)
	if !ok {
		return refused
	}
	c.setLimit(c.m, n)
	return done
}

func changeWatts(c *call, param any) result {
	n, ok := whole(param, 1, maxWatts)
	if !ok {
		return refused
	}
	return doneIf(c.setWatts(c.m, n))
}

// changePercent takes an object, or the text of one: {"percent":"50","mode":"fast"}.
func changePercent(c *call, param any) result {
	o, ok := param.(object)
	if text, isText := param.(string); isText {
		ok = json.Unmarshal([]byte(text), &o) == nil
	}
	if !ok {
		return refused
	}
	n, ok := whole(o["percent"], 0, 100)
	if !ok {
		return refused
	}
	return doneIf(c.setPercent(c.m, n, o["mode"] != "fast"))
}

func changeMode(c *call, param any) result {
	for i, m := range modes {
		if param == m.name {
			c.mode = i
			c.takeEffect(c.m)
			return done
		}
	}
	return refused
}

func changeFastBoot(c *call, param any) result {
	if param != "enable" && param != "disable" {
		return refused
	}
	c.fastBoot = param == "enable"
	return done
}

func changeUpfreq(c *call, param any) result {
	n, ok := whole(param, 0, 10)
	if !ok {
		return refused
	}
	c.upfreq = n
	return done
}
