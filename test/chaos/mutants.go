package chaos

import "slices"

// Mutant is one defect: a replacement of text that is in its file exactly once.
type Mutant struct {
	Name     string
	Rule     string
	File     string
	Old, New string
}

// Mutants are the defects that chaos must catch, each by itself.
var Mutants = slices.Concat(namedMutants, leaseMutants, fitMutants, agentMutants, powerMutants, operatorMutants)

// namedMutants are those that anybody would think of first.
var namedMutants = []Mutant{
	{
		"sent-lease-frees-hold", "L2", "internal/lease/issuer.go",
		"	i.seq++\n	i.sent = append(i.sent, sent{", "	i.seq++\n	i.report.Bound, i.report.LeaseWatts, i.sent = min(i.report.Bound, t.Watts), 0, nil\n	i.sent = append(i.sent, sent{",
	},
	{
		"expiry-frees-hold", "L3", "controllers/links.go",
		"		out = append(out, v)\n", "		if sent, ttl := a.issuer.LastSent(); !sent.IsZero() && now.Sub(sent) > ttl {\n			v.agent.Hold = min(v.agent.Hold, power.Watts(r.Floor))\n		}\n		out = append(out, v)\n",
	},
	{
		"holder-takes-any-epoch", "L7", "internal/lease/holder.go",
		"	case m.Epoch < h.epoch:\n		return ErrOldEpoch\n	case m.Epoch > h.epoch || h.epoch == 0:\n		return ErrNoHello\n", "",
	},
	{
		"holder-takes-any-seq", "L2", "internal/lease/holder.go",
		"	case m.Seq <= h.seq:\n		return ErrOldSeq\n", "",
	},
	{
		"holder-takes-any-run", "L2", "internal/lease/holder.go",
		"	case m.Run != h.run:\n		return ErrOtherRun\n	case m.Epoch < h.epoch:", "	case m.Epoch < h.epoch:",
	},
	{
		"ttl-from-arrival", "section 8", "internal/lease/holder.go",
		"h.seq, h.lease, h.expiry = m.Seq, m, m.AsOf+m.TTL", "h.seq, h.lease, h.expiry = m.Seq, m, now+m.TTL",
	},
	{
		"report-of-any-epoch-counts", "L2", "internal/lease/issuer.go",
		"	if i.trust(now, &r) && r.Epoch == i.epoch && i.newer(r) {", "	if i.trust(now, &r) && i.newer(r) {",
	},
	{
		"issuer-takes-old-reports", "L2", "internal/lease/issuer.go",
		"	return !i.heard || (r.AsOf >= i.report.AsOf && r.Seq >= i.report.Seq)", "	return true",
	},
	{
		"first-lease-unconfirmed", "L7", "internal/lease/issuer.go",
		"i.quarantine != nil || !i.confirmed ||", "i.quarantine != nil ||",
	},
	{
		"stamp-without-epoch", "L7", "controllers/site_takeover.go",
		"		if err := r.stamp(ctx, &claims[i], epoch); err != nil {", "		if err := r.stamp(ctx, &claims[i], uint64(claims[i].Status.Epoch)); err != nil {",
	},
	{
		"status-without-epoch", "L7", "controllers/gpuworkload_status.go",
		"	st.Epoch = epoch\n", "	st.Epoch = max(st.Epoch, 1)\n",
	},
	{
		"stale-operator-sends", "L7", "controllers/leader.go",
		"	return l.clock().Sub(time.Unix(0, l.renewedAt.Load())) < LeaseDuration", "	return l.renewedAt.Load() > 0",
	},
	{
		"ungate-before-written", "L6", "controllers/site_act.go",
		"			return ignoreRace(err, \"writing the status of GPUWorkload %s\", key)", "			_ = ignoreRace(err, \"writing the status of GPUWorkload %s\", key)",
	},
	{
		"reservation-a-number", "L6", "controllers/gpuworkload_status.go",
		"			UID: types.UID(pod.UID), Name: pod.Name,", "			UID: types.UID(p.Pods[0].UID), Name: pod.Name,",
	},
	{
		"failed-is-ended", "L6", "controllers/pods.go",
		"	if rejected(pod) {\n		return true\n	}\n", "	if rejected(pod) || pod.Status.Phase == corev1.PodFailed {\n		return true\n	}\n",
	},
	{
		"deleted-is-ended", "L6", "controllers/pods.go",
		"ended: certain && (never || ended(pod))}", "ended: true || never}",
	},
	{
		"gated-reservation-dropped", "L6", "internal/power/decide.go",
		"		if pod.Phase == Gated || (pod.Phase", "		if pod.Phase == Gated || pod.Phase == Reserved || (pod.Phase",
	},
	{
		"reservation-goes-with-workload", "L6", "controllers/gpuworkload_status.go",
		"	if len(p.Pods) == 0 {\n		return nil\n	}", "	if len(p.Pods) == 0 || w.object.DeletionTimestamp != nil {\n		return nil\n	}",
	},
	{
		"gang-split", "section 6", "internal/power/gang.go",
		"	return max(0, t.w.MinPods-t.here-len(t.p.Pods))\n", "	return 0\n",
	},
	{
		"unreachable-is-asleep", "L5", "internal/fit/bound.go",
		"	case d.observe || !d.stands(now) || !d.watched():\n		b = max(b, d.Rated())", "	case !d.stands(now):\n		b = max(b, d.traits.Residual)\n	case d.observe || !d.watched():\n		b = max(b, d.Rated())",
	},
	{
		"measured-while-waking", "L5", "internal/fit/bound.go",
		"	for _, w := range d.writes {\n		b = max(b, w.watts)\n	}\n	return b", "	if d.unsettled() {\n		return d.padded()\n	}\n	return b",
	},
	{
		"reading-before-settled", "L5", "internal/fit/bound.go",
		"func (d *Device) unsettled() bool { return d.last.At < d.validFrom }", "func (d *Device) unsettled() bool { return d.last.At < d.lastWrite }",
	},
	{
		"ttl-past-a-fall", "section 8", "internal/power/leases.go",
		"			ttl = min(ttl, at.Sub(l.s.Now)-l.settle[i]-shedSlack)", "			_ = at",
	},
	{
		"unfound-is-nothing", "L4", "internal/power/ledger.go",
		"		unfound := max(0, p.Rated-found)", "		unfound := max(0, p.Rated-found) * 0",
	},
	{
		"raise-takes-what-is-not-free", "L1", "internal/power/leases.go",
		"		rise = min(rise, spare[i], l.pace[i])", "		rise = min(rise, l.pace[i])",
	},
	{
		"admits-what-is-not-free", "L1", "internal/power/seek.go",
		"	case need > l.free[i]:\n		return feasible\n", "",
	},
	{
		"heartbeat-ignored", "L6", "controllers/site_gone.go",
		"		if quiet && b.deleted || b.proves(gone.at, grace) {", "		if name != \"\" && quiet || b.deleted {",
	},
	{
		"address-moved-at-once", "L9", "controllers/holdings.go",
		"	left = subtract(left, l.others(a, left))\n", "	_ = l.others(a, left)\n",
	},
	{
		"parents-left-out", "L1", "internal/power/tree.go",
		"		return t.up[i]\n	}\n	return t.root", "		return t.up[i][:1]\n	}\n	return t.root",
	},
	{
		"own-writes-unseen", "L6", "controllers/site_takeover.go",
		"	if err == nil && version(cached) < version(want) {", "	if err == nil && version(cached) > version(want)+1<<40 {",
	},
}
