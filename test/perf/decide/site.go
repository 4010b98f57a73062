// Package decide measures the one decision, power.Decide: how long it takes on random sites, and how far
// its dispatch is from the best that an exact solver finds for the same site.
package decide

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/power"
)

// Shape of a random site. Everything not named here is drawn by lot.
type Shape struct {
	Agents, DevicesPerAgent int
	Halls, RowsPerHall      int
	Workloads, Pods, Nodes  int
	// Pieces is how many straight pieces an agent's curve has at most.
	Pieces int
}

// ASICs of the whole site.
func (sh Shape) ASICs() int { return sh.Agents * sh.DevicesPerAgent }

// Budgets of the whole site.
func (sh Shape) Budgets() int { return 1 + sh.Halls*(1+sh.RowsPerHall) }

// The instant of every site, and the watts of one accelerator, its node's share included.
const (
	epoch       = 1_800_000_000
	perGPU      = 1_300
	gpusPerNode = 8
	gpu         = "nvidia.com/gpu"
)

// models of the miners of every site: named, so that the sites stay the same whatever else is simulated.
var models = []string{
	"Antminer S19j Pro", "Antminer S19 XP", "Antminer S19 XP Hyd", "Antminer S19k Pro",
	"Antminer S21", "Antminer S21+", "Antminer S21 Pro", "Antminer S21 XP",
}

// lot draws one site; the same seed draws the same site.
type lot struct {
	*rand.Rand
	Shape
	site power.Site
}

// NewSite draws a site: a tree of budgets (site, halls, rows), a pool of agents in each row, each agent with
// a mixed fleet of models and the concave curve that follows from them, nodes in each row, workloads with
// pods that run and wait, coming curtailments. Mining has settled on what the running pods leave, as far as
// the decision itself settles it in a minute; then pods arrive.
func NewSite(seed uint64, sh Shape) power.Site {
	l := &lot{Rand: rand.New(rand.NewPCG(seed, seed)), Shape: sh}
	l.site.Now = time.Unix(epoch, 0)
	l.miners()
	l.nodes()
	l.budgets()
	l.running()
	l.settle()
	l.waiting()
	l.curtailments()
	return l.site
}

func (l *lot) between(low, high float64) float64 { return low + l.Float64()*(high-low) }

func rowName(i int) string { return fmt.Sprintf("row-%03d", i) }

func (l *lot) rows() int { return l.Halls * l.RowsPerHall }

func (l *lot) miners() {
	for i := range l.rows() {
		p := power.Pool{Key: "mining/" + rowName(i), Budget: rowName(i)}
		if l.IntN(6) == 0 {
			p.Priority = 1
		}
		l.site.Pools = append(l.site.Pools, p)
	}
	for i := range l.Agents {
		row := i % l.rows()
		pool := &l.site.Pools[row]
		a := power.Agent{
			Key: fmt.Sprintf("mining/%s-%d", rowName(row), i/l.rows()), Pool: pool.Key, Budget: pool.Budget, Heard: true,
			Settle: time.Duration(5+l.IntN(20)) * time.Second, RaisedAt: l.site.Now.Add(-time.Hour),
		}
		l.curve(&a)
		pool.Rated += a.Rated
		l.site.Agents = append(l.site.Agents, a)
	}
	for i := range l.site.Pools {
		if l.IntN(5) == 0 {
			l.site.Pools[i].Floor = l.site.Pools[i].Rated / 10
		}
	}
}

// curve draws a fleet of up to three models; each machine sleeps, or hashes at 60 to 100 % of its nameplate
// with an efficiency that falls towards full power.
func (l *lot) curve(a *power.Agent) {
	kinds := 1 + l.IntN(3)
	steps := max(1, l.Pieces/kinds)
	var all []worth
	for k := range kinds {
		m, err := minersim.FindModel(models[l.IntN(len(models))])
		if err != nil {
			panic(err) // models names one that nobody simulates
		}
		count := float64(l.DevicesPerAgent / kinds)
		if k == 0 {
			count += float64(l.DevicesPerAgent % kinds)
		}
		rated := m.Watts * 1.05
		a.Floor += power.Watts(count * 25)
		a.Rated += power.Watts(math.Ceil(count * rated))
		lowest := l.between(0.5, 0.7)
		slope := l.between(1.02, 1.08) * m.TeraHashes / m.Watts
		for s := range steps {
			share := lowest
			if s > 0 {
				share = (1 - lowest) / float64(steps-1)
			}
			all = append(all, worth{Piece: Piece{count * (rated - 25) * share, slope}})
			slope *= l.between(0.94, 0.995)
		}
	}
	at := power.Point{Watts: a.Floor}
	a.Curve = []power.Point{at}
	for _, w := range upTo(all, float64(a.Rated)) {
		at.Watts += power.Watts(w.Watts)
		at.THs += w.Slope * float64(power.Watts(w.Watts))
		a.Curve = append(a.Curve, at)
	}
}

func (l *lot) nodes() {
	for i := range l.Nodes {
		l.site.Nodes = append(l.site.Nodes, power.Node{
			Name: fmt.Sprintf("gpu-%05d", i), Budget: rowName(i % l.rows()), Open: l.IntN(20) > 0,
			Labels: map[string]string{"row": rowName(i % l.rows())}, Free: map[string]int64{gpu: gpusPerNode},
		})
	}
}

// budgets get limits of which at every level some bind: less than all below could draw, in one place more
// so than in another.
func (l *lot) budgets() {
	needs := make([]power.Watts, l.rows())
	for i := range l.site.Agents {
		needs[i%l.rows()] += l.site.Agents[i].Rated
	}
	for i := range l.site.Nodes {
		needs[i%l.rows()] += gpusPerNode * perGPU
	}
	site := power.Budget{Name: "site", MarginPercent: 2, LeaseTTL: 2 * time.Minute}
	for h := range l.Halls {
		hall := power.Budget{Name: fmt.Sprintf("hall-%02d", h), Parent: "site", MarginPercent: l.IntN(3), LeaseTTL: 2 * time.Minute}
		for r := range l.RowsPerHall {
			i := h*l.RowsPerHall + r
			row := power.Budget{
				Name: rowName(i), Parent: hall.Name, MarginPercent: 2, LeaseTTL: 2 * time.Minute,
				Limit: power.Watts(float64(needs[i]) * l.between(0.7, 1.1)), Base: needs[i] / 50,
				Feeds: true, Pin: map[string]string{"row": rowName(i)},
			}
			if l.IntN(4) == 0 {
				row.Headroom = 4 * gpusPerNode * perGPU
			}
			hall.Limit += row.Limit
			l.site.Budgets = append(l.site.Budgets, row)
		}
		hall.Limit = power.Watts(float64(hall.Limit) * l.between(0.8, 1))
		site.Limit += hall.Limit
		l.site.Budgets = append(l.site.Budgets, hall)
	}
	site.Limit = power.Watts(float64(site.Limit) * l.between(0.85, 0.98))
	l.site.Budgets = append(l.site.Budgets, site)
}
