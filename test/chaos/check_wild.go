package chaos

import (
	"time"

	"github.com/counterweight-dev/counterweight/internal/fit"
)

// Machines that wake by themselves or lie about their watts are judged apart.

// backUnder is how soon a machine that wakes by itself or lies is found out and a budget is under its limit
// again: a look, the slowest shed, and 5 s.
const backUnder = fit.Poll + slowestShed + 5*time.Second

// wild notes that a machine breaks the assumptions: its budgets are judged apart.
func (c *checker) wild(d *device) {
	d.wild = true
	for _, i := range c.up[d.pool.config.budget] {
		c.wildIn[i], c.excused[i] = true, true
	}
}

// meter adds up what is drawn over a limit.
func (c *checker) meter() {
	for i := range c.limit {
		if over := c.lastDraw[i] - c.limit[i]; over > tolerance && c.overSince[i] > 0 && c.wildIn[i] {
			c.overJoules += over * (c.h.now - c.lastAt).Seconds()
		}
		switch {
		case c.draw[i] <= c.limit[i]+tolerance || c.firm(i) > c.limit[i]:
			if c.overSince[i] > 0 && c.wildIn[i] {
				c.overLongest = max(c.overLongest, c.h.now-c.overSince[i])
			}
			c.overSince[i] = 0
		case c.overSince[i] == 0:
			c.overSince[i] = c.h.now
		case c.wildIn[i] && c.h.now-c.overSince[i] > backUnder:
			c.broke("WILD", "budget %s draws %.0f W for longer than %v, limit %.0f W: %s", c.h.cfg.budgets[i].name, c.draw[i], backUnder, c.limit[i], c.sums(i))
		}
		c.lastDraw[i] = c.draw[i]
	}
	c.lastAt = c.h.now
}
