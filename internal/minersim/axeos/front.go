package axeos

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

// Front serves the interface of every machine of a fleet.
type Front struct{ server *overhttp.Server }

// New starts a front; Close ends it.
func New() *Front {
	f := &Front{}
	f.server = overhttp.Start(f.routes())
	return f
}

// Port is HTTP's own.
func (*Front) Port() uint16 { return 80 }

// typicalResidual is of a machine with typicalWatts: processor, fan and regulator (assumed).
const typicalResidual, typicalWatts = 2.5, 18.0

// ResidualWatts of a paused machine.
func (*Front) ResidualWatts() float64 { return typicalResidual }

// Versions are the first with a pause, and the last without.
func (*Front) Versions() []string { return []string{"2.14.0", "2.13.0"} }

// Adopt gives a device its firmware.
func (*Front) Adopt(d *minersim.Device, t *minersim.Traits, s minersim.Start) (minersim.Memory, minersim.Order) {
	t.ResidualWatts *= t.Model.Watts / typicalWatts
	st := newState(d, t, s)
	if st.paused {
		return st, minersim.Order{}
	}
	return st, minersim.Order{Watts: st.watts()}
}

// Serve hands a connection to the server.
func (f *Front) Serve(d *minersim.Device, c net.Conn) { f.server.Serve(d, c) }

// Close ends the front and its connections.
func (f *Front) Close() error { return f.server.Close() }

// object is a JSON object.
type object = map[string]any

// call is one request at one machine, under the device's lock.
type call struct {
	*state
	m    *minersim.Machine
	d    *minersim.Device
	body []byte
}

// refusal is an answer other than 200: words, as the firmware's web server writes them.
type refusal struct {
	status int
	words  string
}

func (r refusal) Error() string { return r.words }

var (
	errUnreachable  = errors.New("the machine is off the network")
	errUnknownRoute = errors.New("unknown route")
)

// route is one path.
type route struct {
	act func(*call) (any, error)
	// held replies are those of commands to the machine, which a persona may hold back.
	held bool
	// paused routes came with 2.14.
	paused bool
}

// page is all that is left of the pages: what discovery looks for.
const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>AxeOS</title></head>` +
	`<body><app-root></app-root></body></html>
`

// routes binds every path that is served.
func (f *Front) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, to := range map[string]route{
		"GET /api/system/info":                 {act: info},
		"GET /api/system/asic":                 {act: asic},
		"GET /api/system/statistics":           {act: statistics},
		"GET /api/system/statistics/dashboard": {act: statistics},
		"PATCH /api/system":                    {act: patch, held: true},
		"POST /api/system/pause":               {act: pause, held: true, paused: true},
		"POST /api/system/resume":              {act: resume, held: true, paused: true},
		"POST /api/system/restart":             {act: restart, held: true},
		"POST /api/system/identify":            {act: identify},
		"/api/":                                {act: func(*call) (any, error) { return nil, errUnknownRoute }},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { f.do(w, r, to) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { f.do(w, r, route{act: home(r.URL.Path)}) })
	return mux
}

// home is the page, and everything else leads to it.
func home(path string) func(*call) (any, error) {
	return func(*call) (any, error) {
		if path == "/" {
			return page, nil
		}
		return nil, refusal{http.StatusFound, "Redirect to the captive portal"}
	}
}

// maxBody bounds what is taken, as the firmware's buffer does.
const maxBody = 10240

// do answers a request by running the route under the device's lock.
func (f *Front) do(w http.ResponseWriter, r *http.Request, to route) {
	d := overhttp.Device(r)
	out, err := run(d, r, to)
	if to.held && err == nil {
		d.Hold(r.Context().Done())
	}
	if errors.Is(err, errUnreachable) {
		overhttp.HangUp(w)
		return
	}
	answer(w, out, err)
}

func run(d *minersim.Device, r *http.Request, to route) (out any, err error) {
	body, broken := io.ReadAll(io.LimitReader(r.Body, maxBody))
	d.Do(func(m *minersim.Machine) {
		c := &call{state: d.Memory().(*state), m: m, d: d, body: body}
		switch {
		case !m.Reachable():
			err = errUnreachable
		case !allowed(r):
			err = refusal{http.StatusUnauthorized, "Unauthorized"}
		case r.Method == http.MethodOptions:
			out = ""
		case len(body) == maxBody:
			err = refusal{http.StatusInternalServerError, "content too long"}
		case broken != nil:
			err = refusal{http.StatusInternalServerError, "Failed to receive request body"}
		case to.paused && !c.pauses:
			err = errUnknownRoute
		default:
			if to.held {
				c.contest(m)
			}
			out, err = to.act(c)
		}
	})
	return out, err
}

// allowed tells whether both the client and the page it comes from are near: in a private range, or
// by a name of the local network.
func allowed(r *http.Request) bool {
	if client, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && !near(client.Addr().Unmap()) {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return near(a.Unmap())
	}
	return strings.HasSuffix(u.Hostname(), ".local") || u.Hostname() != "" && !strings.Contains(u.Hostname(), ".")
}

func near(a netip.Addr) bool { return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() }

func answer(w http.ResponseWriter, out any, err error) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Content-Type")
	if no, refused := errors.AsType[refusal](err); refused {
		if no.status == http.StatusFound {
			h.Set("Location", "/")
		}
		h.Set("Content-Type", "text/html")
		w.WriteHeader(no.status)
		_, _ = io.WriteString(w, no.words)
		return
	}
	if text, ok := out.(string); ok && err == nil {
		h.Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, text)
		return
	}
	h.Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		out = object{"error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(out)
}
