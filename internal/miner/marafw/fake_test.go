package marafw

import (
	"encoding/json"
	"net/http"

	"strings"
	"testing"

	"github.com/icholy/digest"

	"github.com/counterweight-dev/counterweight/internal/miner"
	"github.com/counterweight-dev/counterweight/internal/miner/wire/wiretest"
)

const secret = "l0gin-secret"

// Replies of a machine while it mined, and after it was put to sleep.
const (
	ks5overview = `{"mac":"02:AB:CD:00:11:22","version_firmware":"MaraFW rel 3.14_584","model":"Antminer KS5 Pro",` +
		`"model_extended":"Antminer KS5 Pro (21.0TH)","control_board":"AML"}`
	ks5mining = `{"elapsed":661101,"hashrate_realtime":12724.099,"hashrate_ideal":12990.6,"hashrate_stock":21735,"hashrate_sales":21000,` +
		`"hashrate_unit":"GH/s","power_consumption_estimated":1946,"power_source":"PSU","status":"Mining","status_long":"Mining",` +
		`"work_mode":"Auto","indicator":"Degraded","indicator_long":"Hash board error","temperature_max":60.511185}`
	ks5asleep = `{"elapsed":264,"hashrate_realtime":0,"hashrate_ideal":0,"hashrate_stock":21735,"hashrate_sales":21000,` +
		`"hashrate_unit":"GH/s","power_consumption_estimated":25,"power_source":"EST","status":"Sleep","status_long":"Sleep",` +
		`"work_mode":"Sleep","indicator":"Fully functional","indicator_long":"","temperature_max":27.125}`
	configured = `{"version":3,"mode":{"work-mode-selector":"Auto","concorde":{"mode-select":"PowerTarget","power-target":2400,"hash-target":100,` +
		`"other":1.50},"fixed":{"freq":"500","volt":null}},"pools":[{"url":"stratum+tcp://a:1","user":"u","pass":"p00l <&> pass"}],"big":12345678901234567890}`
	history = `[{"1":[{"type":"update","path":["Mode","WorkModeSelector"],"from":"Stock","to":"Fixed"}]},` +
		`{"2":[{"type":"update","path":["Pools"],"from":"Auto","to":"x"},{"type":"update","path":["Mode","WorkModeSelector"],"from":"Fixed","to":"Sleep"}]}]`
	saidYes    = `{"error":false,"msg":"success"}`
	versionRPC = `{"STATUS":[{"STATUS":"S","When":1,"Code":22,"Msg":"BMMiner versions","Description":"kaonsu-old-api 1.0.0"}],` +
		`"VERSION":[{"BMMiner":"MaraFW rel 3.12_401","API":"3.1","Miner":"x","CompileTime":"y","Type":"Antminer S19k Pro"}],"id":1}`
)

// machine replays those, behind the login of the firmware, and takes a new configuration.
type machine struct {
	*wiretest.Machine
	password string
	// reply answers an order; keeps is one that says yes and changes nothing.
	reply string
	keeps bool
}

func ks5() *machine {
	m := &machine{password: secret, reply: saidYes}
	m.Machine = &wiretest.Machine{
		Root: "/kaonsu/v1/", Statuses: map[string]int{},
		Replies: map[string]string{
			"overview": ks5overview, "brief": ks5mining, configPath: configured, "log": history,
		},
	}
	m.Act = func(key string, body []byte) (string, bool) {
		if key != "POST "+configPath {
			return "", false
		}
		if !m.keeps {
			m.Replies[configPath] = string(body)
		}
		return m.reply, true
	}
	return m
}

// ServeHTTP admits by HTTP Digest.
func (m *machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := digest.ParseCredentials(r.Header.Get("Authorization"))
	if err == nil {
		var want *digest.Credentials
		want, err = digest.Digest(&digest.Challenge{Realm: "MaraFW", Nonce: "n", QOP: []string{"auth"}}, digest.Options{
			Method: r.Method, URI: r.URL.RequestURI(), Cnonce: answer.Cnonce, Count: answer.Nc, Username: "root", Password: m.password,
		})
		if err == nil && want.Response == answer.Response {
			m.Machine.ServeHTTP(w, r)
			return
		}
	}
	w.Header().Set("WWW-Authenticate", `Digest realm="MaraFW", nonce="n", qop="auth"`)
	w.WriteHeader(http.StatusUnauthorized)
}

func (m *machine) open(t *testing.T) *Driver {
	t.Helper()
	target := wiretest.Serve(t, m)
	target.Password = secret
	return New(target)
}

func identified(t *testing.T, m *machine) *Driver {
	t.Helper()
	d := m.open(t)
	if _, err := d.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Taken()
	return d
}

// orders are the configurations that were sent.
func (m *machine) orders() []string {
	var orders []string
	for _, line := range m.Taken() {
		if body, ok := strings.CutPrefix(line, "POST "+configPath+" "); ok {
			orders = append(orders, body)
		}
	}
	return orders
}

// changed is a configuration with other values at mode and target.
func changed(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(configured) }

// canon writes JSON with its keys in order and numbers as they are.
func canon(t *testing.T, text string) string {
	t.Helper()
	var value any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(value)
	return string(out)
}

var (
	sleepy = miner.Setting{Kind: miner.Sleep}
	awake  = miner.Setting{Kind: miner.HashMode}
)

func watts(n int64) miner.Setting { return miner.Setting{Kind: miner.HashWatts, Watts: n} }
