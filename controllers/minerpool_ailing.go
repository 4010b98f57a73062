package controllers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/lease"
)

// ailment is one kind of trouble of devices: as agents call it, as the pool's condition does, the event of a single
// device, and what it means for one and for the list of all.
type ailment struct {
	trouble, reason, event string
	one                    string
	all                    func(p *powerv1.MinerPool, f poolFacts, n int, names string) string
}

// plainly makes the words for all of a number and the names.
func plainly(format string) func(*powerv1.MinerPool, poolFacts, int, string) string {
	return func(_ *powerv1.MinerPool, _ poolFacts, n int, names string) string {
		return fmt.Sprintf(format, n, names)
	}
}

// ailments are all of them, what a person can mend first. A machine that refuses to be let in or is busy may also
// count as stuck or as not answering, or was never found: then that is why, and neither a dark machine nor a
// ratedWatts that is too high.
var ailments = []ailment{
	{
		"Unauthorized", powerv1.ReasonDevicesUnauthorized, eventDeviceUnauthorized,
		"refuses the credentials and counts at its rated watts",
		func(p *powerv1.MinerPool, _ poolFacts, n int, names string) string {
			return fmt.Sprintf("%d machines refuse the credentials and count at their rated watts: %s; %s", n, names, lettingIn(p))
		},
	},
	{
		"Stuck", powerv1.ReasonDevicesStuck, eventDeviceStuck,
		"does not do what it is told and counts at what it draws",
		func(_ *powerv1.MinerPool, f poolFacts, n int, names string) string {
			return fmt.Sprintf("%d devices do not do what they are told and count at what they draw: %s", max(n, f.counts.Stuck), names)
		},
	},
	{
		"Unreachable", powerv1.ReasonDevicesUnreachable, eventDeviceUnreachable,
		"does not answer and counts at its rated watts",
		func(_ *powerv1.MinerPool, f poolFacts, n int, names string) string {
			return fmt.Sprintf("%d devices do not answer and count at their rated watts: %s", max(n, f.counts.Unreachable), names)
		},
	},
	{
		"Unreadable", powerv1.ReasonDevicesUnreadable, eventDeviceUnreadable,
		"tells no watts that can be true and counts at its rated watts, or at its target where it has one",
		plainly("%d devices tell no watts that can be true and count at their rated watts, or at their targets: %s"),
	},
	{
		"Rebooted", powerv1.ReasonDevicesRebooted, eventDeviceRebooted,
		"did as it was told and was then seen above that, as after a reboot or somebody else's order; it was told again",
		plainly("%d devices did as they were told and were then seen above that, as after a reboot or somebody else's order, and were told again: %s"),
	},
	{
		"Busy", powerv1.ReasonDevicesBusy, eventDeviceBusy,
		"gives its only session to somebody else, so it can't be commanded, and counts at the most it may draw",
		plainly("%d machines give their only session to somebody else, so they can't be commanded, and count at the most they may draw: %s; stop the other program that logs in there"),
	},
}

// ailing says what ails devices, all of it, by the most serious reason.
func ailing(p *powerv1.MinerPool, f poolFacts) (reason, message string) {
	var parts []string
	for _, a := range ailments {
		if names := named(f, a.trouble); len(names) > 0 {
			reason = cmp.Or(reason, a.reason)
			parts = append(parts, a.all(p, f, len(names), listed(names)))
		}
	}
	if len(parts) == 0 && f.counts.Stuck+f.counts.Unreachable > 0 {
		return powerv1.ReasonDevicesUnreachable, fmt.Sprintf(
			"%d devices do not answer and %d do not do what they are told; their agents name none of them yet", f.counts.Unreachable, f.counts.Stuck)
	}
	return reason, strings.Join(parts, "; ")
}

// lettingIn is what lets agents in to machines that refuse them.
func lettingIn(p *powerv1.MinerPool) string {
	if name := p.Spec.Devices.CredentialsSecret; name != "" {
		return fmt.Sprintf("correct Secret %s, then restart the pool's mining pods, which read it when they start", name)
	}
	return "they want other credentials than the factory's: put them in a Secret and name it in spec.devices.credentialsSecret"
}

// named is the devices of one kind of trouble, sorted.
func named(f poolFacts, trouble string) []string {
	var names []string
	for _, t := range f.trouble {
		if t.Reason == trouble {
			names = append(names, t.Address)
		}
	}
	slices.Sort(names)
	return names
}

// listed joins the names of devices; beyond what a person goes through by hand, the rest is a number.
func listed(names []string) string {
	const most = 40
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// unproven says why machines that their agents have only met count at more than they draw (L3): mining may leave
// that much unused for a while, and nothing is wrong.
func unproven(f poolFacts) string {
	var last lease.Trouble
	var longest time.Duration
	for _, t := range f.trouble {
		if d, err := time.ParseDuration(t.Message); t.Reason == "Unproven" && err == nil && d > longest {
			last, longest = t, d
		}
	}
	if longest == 0 {
		return ""
	}
	return fmt.Sprintf(
		"; machines that their agents have only met count at their rated watts until each was watched for as long as its slowest order may take, which is longest for %s: %v",
		last.Address, longest)
}

// trouble is what a device was told of for.
type trouble struct{ address, reason string }

// mostTold bounds the events of one status write; a row that loses its network is told of by the condition.
const mostTold = 20

// tellDevices announces each device that a person may have to look at, once until it is well again.
func (r *MinerPoolReconciler) tellDevices(p *powerv1.MinerPool, f poolFacts) {
	key := client.ObjectKeyFromObject(p)
	before, now, n := r.told[key], map[trouble]bool{}, 0
	for _, a := range ailments {
		for _, address := range named(f, a.trouble) {
			t := trouble{address, a.trouble}
			switch {
			case before[t]:
				now[t] = true
			case n < mostTold:
				now[t] = true
				n++
				tellDevice(r.Events, p, address, a)
			}
		}
	}
	r.told[key] = now
}
