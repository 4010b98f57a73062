package fit

import "time"

// s21 takes targets and gives estimates; its wake is the slowest of its actions.
var s21 = Traits{
	CanSleep: true, Min: 1800, Max: 3600, Step: 10, Nameplate: 3500, NameplateTHs: 200, Residual: 30,
	Sleep: Timing{Worst: 10 * sec}, Wake: Timing{Worst: 60 * sec}, Trim: Timing{Worst: 20 * sec},
}

// lux sleeps through reboots and has profiles, the lower the better.
var lux = Traits{
	CanSleep: true, SleepSurvivesReboot: true, Nameplate: 3000, NameplateTHs: 140, Residual: 25,
	Modes: []Mode{{"low", 1500, 84}, {"mid", 2200, 114}, {"default", 3000, 140}},
	Sleep: Timing{Worst: 5 * sec}, Wake: Timing{Worst: 60 * sec}, Trim: Timing{Worst: 60 * sec},
}

// plain is on or off, and slow.
var plain = Traits{
	CanSleep: true, SleepSurvivesReboot: true, Nameplate: 3000, NameplateTHs: 100, Residual: 20,
	Sleep: Timing{Worst: 60 * sec}, Wake: Timing{Worst: 60 * sec, Restarts: true}, Trim: Timing{Worst: 60 * sec},
}

// start is when the devices of these tests have been watched long enough.
const start = 1000 * sec

func with(t Traits, change func(*Traits)) Traits {
	change(&t)
	return t
}

// device is watched and, at start, metered at what its setting names, or its residual.
func device(key string, t Traits, s Setting) *Device {
	d := NewDevice(key, 5, false)
	d.Learn(t)
	d.Saw(shows(d, start-100*sec, s))
	d.Saw(shows(d, start, s))
	return d
}

func (d *Device) readsAt(at time.Duration, s Setting) *Device {
	d.Saw(shows(d, at, s))
	return d
}

// shows is a metered reading of a device that does exactly as set.
func shows(d *Device, at time.Duration, s Setting) Reading {
	r := Reading{At: at, HasWatts: true, State: Hashing, Watts: d.nominal(s), Mode: s.Mode, THs: d.promised(s)}
	switch {
	case s.Kind == Sleep:
		r.State, r.Watts, r.THs = Sleeping, d.traits.Residual, 0
	case s.Kind == HashWatts:
		r.Target = s.Watts
	case s.Watts == 0:
		r.Watts = d.traits.Nameplate
	}
	return r
}

func at(w Watts) Setting         { return Setting{Kind: HashWatts, Watts: w} }
func in(t Traits, i int) Setting { return modeSetting(t.Modes[i]) }

var (
	sleep = Setting{Kind: Sleep}
	on    = Setting{Kind: HashMode}
)

// told is the orders as text, in their order.
func told(orders []Order) []string {
	var list []string
	for _, o := range orders {
		list = append(list, o.Device.key+" "+o.Setting.String())
	}
	return list
}

// give applies orders at a time, as if each was then carried out exactly.
func give(orders []Order, now time.Duration) {
	for _, o := range orders {
		o.Device.Write(now, o.Setting)
	}
}
