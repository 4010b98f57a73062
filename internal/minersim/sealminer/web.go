package sealminer

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

const (
	// sessionIdle is how long a session lives unused: PHP's default.
	sessionIdle = 24 * time.Minute
	// maxSessions live at a time; the oldest makes room (assumed).
	maxSessions = 16
	// cookie is PHP's.
	cookie = "PHPSESSID"
	// maxForm bounds what a client may send.
	maxForm = 64 << 10
)

type session struct {
	id   string
	used time.Duration
}

// page is all that is left of the web interface: what discovery looks for.
const page = `<!doctype html><html><head><meta charset="utf-8"><title>Sealminer</title>` +
	`<link rel="stylesheet" href="assets/css/amazeui.min.css"></head><body></body></html>
`

// do answers a request under the device's lock.
func (f *Front) do(w http.ResponseWriter, r *http.Request) {
	d := overhttp.Device(r)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	var out any
	held := false
	d.Do(func(m *minersim.Machine) {
		if !m.Reachable() {
			err = errUnreachable
			return
		}
		c := &call{state: d.Memory().(*state), m: m, d: d}
		c.settle(m)
		out, held, err = c.route(w, r, body)
	})
	if held && err == nil {
		d.Hold(r.Context().Done())
	}
	switch {
	case errors.Is(err, errUnreachable):
		overhttp.HangUp(w)
	case errors.Is(err, errNoSession):
		// Where PHP pages send a browser that is not logged in (assumed).
		http.Redirect(w, r, "/", http.StatusFound)
	case err != nil:
		http.NotFound(w, r)
	default:
		write(w, out)
	}
}

func write(w http.ResponseWriter, out any) {
	if text, ok := out.(string); ok {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(text))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

var (
	errNoSession = errors.New("not logged in")
	errNoPage    = errors.New("no such page")
)

// route finds what a request asks for. held tells that it changes what the machine does.
func (c *call) route(w http.ResponseWriter, r *http.Request, body []byte) (out any, held bool, err error) {
	if r.URL.Path == "/" {
		return page, false, nil
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/cgi-bin/")
	name, php := strings.CutSuffix(name, ".php")
	if !ok || !php {
		return nil, false, errNoPage
	}
	if name == "login" {
		return c.login(w, r, body), false, nil
	}
	if !c.knows(r) {
		return nil, false, errNoSession
	}
	to, ok := pages[name]
	if !ok {
		return nil, false, errNoPage
	}
	if to.held {
		c.contest(c.m)
	}
	return to.act(c, body), to.held, nil
}

// login opens the session that the client's cookie names, or one of its own.
func (c *call) login(w http.ResponseWriter, r *http.Request, body []byte) object {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("username") != c.user || form.Get("origin_pwd") != c.password {
		return object{"state": 1, "msg": "Incorrect username or password"}
	}
	id := (rand.Text() + rand.Text())[:26]
	if sent, err := r.Cookie(cookie); err == nil && sent.Value != "" && len(sent.Value) <= 128 {
		id = sent.Value
	}
	c.sessions = slices.DeleteFunc(c.sessions, func(s session) bool { return s.id == id })
	if len(c.sessions) >= maxSessions {
		c.sessions = slices.Delete(c.sessions, 0, 1)
	}
	c.sessions = append(c.sessions, session{id, c.m.Now()})
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: id, Path: "/"}) //nolint:gosec // as the machine sets it
	return object{"state": 0, "msg": "success"}
}

// knows tells whether a request belongs to a session, which lives on from here.
func (c *call) knows(r *http.Request) bool {
	now := c.m.Now()
	c.sessions = slices.DeleteFunc(c.sessions, func(s session) bool { return now-s.used >= sessionIdle })
	sent, err := r.Cookie(cookie)
	if err != nil {
		return false
	}
	i := slices.IndexFunc(c.sessions, func(s session) bool { return s.id == sent.Value })
	if i < 0 {
		return false
	}
	c.sessions[i].used = now
	return true
}

// webPage is one of the pages under cgi-bin; they take GET and POST alike.
type webPage struct {
	act func(c *call, body []byte) any
	// held replies are those of commands to the machine, which a persona may hold back.
	held bool
}

var pages = map[string]webPage{
	"get_system_info":    {act: systemInfo},
	"get_network_info":   {act: networkInfo},
	"miner-status":       {act: minerStatus},
	"miner-psu-status":   {act: psuStatus},
	"get_miner_poolconf": {act: poolConf},
	"set_miner_poolconf": {held: true, act: setPoolConf},
	"led_conf":           {act: setLED},
	"mining_setting":     {held: true, act: setMining},
	"set_mining_mode":    {held: true, act: setMode},
	"update_passwd":      {act: setPassword},
	"reboot": {held: true, act: func(c *call, _ []byte) any {
		c.m.CommandReboot(false)
		return object{"result": 0}
	}},
}

func systemInfo(c *call, _ []byte) any {
	return object{
		"low_power": lowPower, "normal": normal, "high_performance": high, "custom": custom, "firmware_version": firmware, "ctrl_version": controlBoard,
		"miner_type": c.name(), "brand": "Sealminer", "psu_model": "boco_v2.0", "macaddr": c.d.MAC, "ipaddress": c.d.Address.Addr().String(), "DHCP": "true",
		"miningMode": strconv.Itoa(c.settings.mode), "nomalPowerRatio": nil, "ratedHashrate": 0, "crtl_sn": c.d.Serial,
		"systemTime": c.d.Clock().Now().UTC().Format("Mon Jan _2 15:04:05 UTC 2006"), "upgrade_result": "0\n", "tuning_done": 0, "led": onOff(c.locating),
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func networkInfo(c *call, _ []byte) any {
	at := c.d.Address.Addr().String()
	return object{
		"nettype": "DHCP", "macaddr": c.d.MAC, "ipaddress": at, "netmask": "255.0.0.0", "gateway": "127.0.0.1", "dnsservers": "127.0.0.1",
		"conf_ipaddress": at, "conf_netmask": "255.0.0.0", "conf_gateway": "127.0.0.1", "conf_dnsservers": "127.0.0.1", "conf_dnsservers_backup": "",
		"name": []string{"eth0"},
	}
}

// minerStatus has MH/s, as text it has counts.
func minerStatus(c *call, _ []byte) any {
	list := make([]object, len(c.settings.pools))
	for i, p := range c.settings.pools {
		list[i] = object{
			"id": i, "url": p.URL, "user": p.User, "status": "Alive", "isActive": i == 0 && c.m.TeraHashes() > 0, "diff": 262144.0, "getworks": 0,
			"priority": i, "accept": 0, "rejected": 0, "rejected%": 0.0, "stale": 0, "diffA": 0.0, "diffR": 0.0, "lsdiff": 262144.0, "lstime": "0:00:02",
		}
	}
	return object{
		"summary": object{"elapsed": c.elapsed(), "mhsav": c.mega(30 * time.Minute), "foundblocks": "0", "rejected": 0.0}, "pools": list,
	}
}

func psuStatus(c *call, _ []byte) any {
	out := psuEfficiency * float64(c.watts())
	return object{"Online": 1, "Power": c.watts(), "Voltage": 15.67, "Current": int(out / psuOut), "Temp": 26, "StatusCode": "0x0000"}
}

func poolConf(c *call, _ []byte) any {
	return object{
		"pools": c.settings.pools, "xk-h3x-miningmode": strconv.Itoa(c.settings.mode), "xk-h3x-psu-input-max-power": strconv.Itoa(c.settings.limit),
	}
}

// setPoolConf takes pools by number, and the limit where it is there.
func setPoolConf(c *call, body []byte) any {
	var q map[string]any
	failed := object{"result": false, "api": false, "fileWrite": false, "msg": "invalid parameters"}
	if json.Unmarshal(body, &q) != nil {
		return failed
	}
	var next []pool
	for i := range maxPools {
		field := func(name string) string {
			s, _ := q[name+strconv.Itoa(i+1)].(string)
			return s
		}
		if p := (pool{field("poolurl"), field("pooluser"), field("poolpwd")}); p.URL != "" {
			next = append(next, p)
		}
	}
	if limit, sent := q["psuInputMaxpower"]; sent {
		watts, ok := whole(limit)
		if !ok || !c.limitFits(watts) {
			return failed
		}
		c.settings.limit = watts
		c.adjust(c.m)
	}
	if len(next) > 0 {
		c.settings.pools = next
	}
	return object{"result": true, "api": true, "fileWrite": true, "msg": "success"}
}

func setLED(c *call, body []byte) any {
	var q struct{ Key, Value string }
	if json.Unmarshal(body, &q) != nil || q.Key != "led" {
		return object{"result": 1}
	}
	c.locating = q.Value == "on"
	return object{"result": 0}
}

// setMining stops and starts mining.
func setMining(c *call, body []byte) any {
	var q struct {
		To any `json:"params_data"`
	}
	to, ok := 0, json.Unmarshal(body, &q) == nil
	if ok {
		to, ok = whole(q.To)
	}
	switch {
	case ok && to == 0:
		c.suspend(c.m)
	case ok && to == 1:
		c.restart(c.m)
	default:
		return object{"status": 1, "result": 1}
	}
	return object{"status": 0, "result": 0}
}

// setMode takes the number of a mode.
func setMode(c *call, body []byte) any {
	var q struct {
		Mode any `json:"miningMode"`
	}
	if json.Unmarshal(body, &q) != nil {
		return object{"result": 1}
	}
	mode, ok := whole(q.Mode)
	if _, known := modeShares[mode]; !ok || !known {
		return object{"result": 1}
	}
	c.settings.mode = mode
	c.adjust(c.m)
	return object{"result": 0}
}

func setPassword(c *call, body []byte) any {
	var q struct {
		User string `json:"user_name"`
		Old  string `json:"origin_pwd"`
		New  string `json:"new_pwd"`
	}
	if json.Unmarshal(body, &q) != nil || q.User != c.user || q.Old != c.password || q.New == "" {
		return object{"result": 1}
	}
	c.password = q.New
	return object{"result": 0}
}
