package avalon

import (
	"fmt"
	"strconv"
	"strings"
)

// SoftOFF as it was recorded: why each number is what it is nobody says. 6 was seen of a rack
// machine that boots.
const (
	rackSleeps, rackBoots = 5, 6
	homeSleeps            = 4
)

func (c *call) softOff() int {
	p := c.phase(c.m.Now())
	switch {
	case c.power == softOff && c.home:
		return homeSleeps
	case c.power == softOff:
		return rackSleeps
	case p == initial && !c.home:
		return rackBoots
	default:
		return 0
	}
}

// work is the state in words and, of a Q, as a number.
func (c *call) work() (words string, number int) {
	switch c.phase(c.m.Now()) {
	case idle:
		return "In Idle", 2
	case initial:
		return "In Init", 0
	default:
		return "In Work", 1
	}
}

// theory is the hashrate the present clock should give, GH/s. A rack machine has none while it is
// off; one at home remembers.
func (c *call) theory() float64 {
	if c.phase(c.m.Now()) == idle && !c.home {
		return 0
	}
	return 1e3 * c.m.TeraHashesFor(c.followed())
}

// followed are the watts in force, which the firmware may have lowered under its objective.
func (c *call) followed() float64 { return c.watts() * c.m.Drift() }

// objective is the watts the firmware aims at: of the boards in a rack, of the machine at home.
func (c *call) objective() float64 {
	if c.home {
		return c.watts()
	}
	return dcShare * c.watts()
}

// machine is everything of a machine: key[value] after key[value].
func (c *call) machine(chips bool) string {
	words, state := c.work()
	now := 1e3 * c.m.TeraHashes()
	parts := []string{fmt.Sprintf("Ver[%s-%s]", c.id, c.build)}
	if c.home {
		parts = append(parts, fmt.Sprintf("LVer[%s] BVer[%s] FW[Release]", c.build, c.build))
	}
	parts = append(parts, fmt.Sprintf("DNA[%s]", c.dna()))
	if c.summary {
		parts = append(parts, fmt.Sprintf("STATE[%d]", state))
	}
	parts = append(parts, "MEMFREE[1392832.1381104] NETFAIL[0 0 0 0 0 0 0 0]", fmt.Sprintf(
		"SYSTEMSTATU[Work: %s, Hash Board: %d ] Elapsed[%d] BOOTBY[%s] LW[0] %s DHW[0] HW[0] DH[1.299%%]",
		words, c.m.Model.Boards, c.uptime(), bootedBy, c.perBoard("MH", "0")))
	parts = append(parts, c.temperatures(), c.airflow(), c.supply())
	if c.wall {
		parts = append(parts, fmt.Sprintf("WALLPOWER[%.0f]", c.m.ReportedWatts()))
	}
	parts = append(parts, fmt.Sprintf("GHSspd[%.2f] DHspd[1.299%%] GHSmm[%.2f] GHSavg[%.2f] WU[0.00] Freq[%.2f]",
		now, c.theory(), 1e3*c.lifetime(c.m), c.frequency()))
	if !c.home {
		parts = append(parts, fmt.Sprintf("Led[%d]", number(c.led)))
	}
	parts = append(parts, c.perBoard("MGHS", strconv.FormatFloat(now/float64(c.m.Model.Boards), 'f', 2, 64)), c.boards())
	if chips {
		for i := range c.m.Model.Boards {
			parts = append(parts, c.chips(i)...)
		}
	}
	parts = append(parts, c.perBoard("CRC", "0"), c.perBoard("COMCRC", "0"), c.setup())
	return strings.Join(parts, " ")
}

// perBoard is a list with the same value for each board.
func (c *call) perBoard(key, value string) string {
	n := c.m.Model.Boards
	return key + "[" + strings.TrimSuffix(strings.Repeat(value+" ", n), " ") + "]"
}

// frequency of the chips, MHz.
func (c *call) frequency() float64 {
	return float64(c.m.Model.DefaultMegaHertz) * c.m.TeraHashesFor(c.followed()) / c.m.NominalTeraHashes
}

func (c *call) temperatures() string {
	hot := c.warmth() + 5
	if c.phase(c.m.Now()) == idle {
		hot = 0
	}
	switch {
	case c.summary:
		return fmt.Sprintf("ITemp[26] HBITemp[%d] HBOTemp[%d] TMax[%d] TAvg[%d] TarT[65]", c.warmth()/2+10, c.warmth()/2+15, hot, max(0, hot-5))
	case c.home:
		return fmt.Sprintf("ITemp[-273] OTemp[%d] TMax[%d] TAvg[%d] TarT[90]", c.warmth()/2+10, hot, max(0, hot-5))
	default:
		return fmt.Sprintf("Temp[31] TMax[%d] TAvg[%d]", c.warmth()+5, c.warmth())
	}
}

func (c *call) airflow() string {
	var b strings.Builder
	for i := range c.fans {
		fmt.Fprintf(&b, "Fan%d[%d] ", i+1, c.fan())
	}
	fmt.Fprintf(&b, "FanR[%d%%]", c.fan()/50)
	if !c.home {
		b.WriteString(" Vo[296]")
	}
	return b.String()
}

func (c *call) boards() string {
	heat := strconv.Itoa(c.warmth())
	chips := fmt.Sprintf("TA[%d] Core[%s] PING[131]", c.m.Model.Boards*c.m.Model.ChipsPerBoard, c.m.Model.Chip)
	tail := fmt.Sprintf("SoftOFF[%d] %s ECMM[0]", c.softOff(), c.perBoard("ECHU", "0"))
	if c.home {
		return chips + " " + tail
	}
	return strings.Join([]string{
		c.perBoard("MTmax", heat), c.perBoard("MTavg", heat), c.perBoard("MVavg", "285.7"), chips, "POWS[0]",
		c.perBoard("EEPROM", strconv.Itoa(c.m.Model.ChipsPerBoard)), c.perBoard("HASHS", "0"), "POOLS[0]", tail,
	}, " ")
}

// chips are the temperature, voltage and work of each chip of a board.
func (c *call) chips(board int) []string {
	n := c.m.Model.ChipsPerBoard
	list := func(key string, value int) string {
		return fmt.Sprintf("%s%d[%s]", key, board, strings.TrimSuffix(strings.Repeat(" "+strconv.Itoa(value)+" ", n), " "))
	}
	volts, works := 288, 22
	if c.phase(c.m.Now()) == idle {
		volts, works = 0, 0
	}
	return []string{list("PVT_T", c.warmth()), list("PVT_V", volts), list("MW", works)}
}

// setup ends the string: how the machine is set up.
func (c *call) setup() string {
	if !c.home {
		var b strings.Builder
		for i := range c.m.Model.Boards {
			fmt.Fprintf(&b, "FACOPTS%d[] ATABD%d[300 318 339 360] SF%d[300 318 339 360] PLL%d[3346 2549 4722 13703] ", i, i, i, i)
		}
		return b.String() + fmt.Sprintf("ADJ[1] COP[0 0 0] MPO[%.0f] MVL[87] WORKMODE[%d]", c.objective(), c.running)
	}
	tuned := 1
	if c.calibrating(c.m.Now()) {
		tuned = 0
	}
	return fmt.Sprintf("PLL0[499 254 423 648] SF0[432 450 471 492] ATA0[%.0f-65-2264-258-20] LcdOnoff[1] WORKMODE[%d] WORKLEVEL[%d] MPO[%.0f] CALIALL[7] ADJ[%d]",
		c.objective(), c.running, c.runLevel, c.objective(), tuned)
}
