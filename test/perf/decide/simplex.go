package decide

import (
	"fmt"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"
)

// tolerance of the simplex, in kilowatts and normed TH/s.
const tolerance = 1e-10

// Simplex solves the problem with a general solver of linear programs (gonum's dense simplex): a variable
// for each piece of each curve and for what counts towards each pool's floorWatts, a constraint for each
// budget, each piece and each pool. It answers the most TH/s.
func (p *Problem) Simplex() (ths float64, err error) {
	m := p.program()
	if m.columns == 0 {
		return 0, nil
	}
	a := mat.NewDense(len(m.rows), m.columns+len(m.rows), nil)
	c := make([]float64, m.columns+len(m.rows))
	for i, row := range m.rows {
		for column, v := range row.terms {
			a.Set(i, column, v)
		}
		a.Set(i, m.columns+i, 1) // slack: terms <= limit
	}
	for i, v := range m.gain {
		c[i] = -v
	}
	slack := make([]int, len(m.rows))
	b := make([]float64, len(m.rows))
	for i := range slack {
		slack[i], b[i] = m.columns+i, m.rows[i].limit
	}
	_, x, err := lp.Simplex(c, a, b, tolerance, slack)
	if err != nil {
		return 0, fmt.Errorf("solving a linear program of %d variables and %d constraints: %w", m.columns, len(m.rows), err)
	}
	for i, slope := range m.ths {
		ths += slope * x[i]
	}
	return ths, nil
}

// Size of the linear program.
func (p *Problem) Size() (variables, constraints int) {
	m := p.program()
	return m.columns, len(m.rows)
}

type row struct {
	terms map[int]float64
	limit float64
}

// program is the linear program: gain to be made the most of, ths the part of it that is hash rate.
type program struct {
	rows      []row
	gain, ths []float64
	columns   int
}

const kilo = 1000

// program counts in kilowatts, so that no coefficient is far from 1.
func (p *Problem) program() program {
	var m program
	budgets, pools := make([]row, len(p.Cap)), make([]row, len(p.Floor))
	for i := range budgets {
		budgets[i] = row{map[int]float64{}, p.Cap[i] / kilo}
	}
	for i := range pools {
		pools[i] = row{map[int]float64{}, 0}
	}
	first := 0.0 // what a watt towards floorWatts is worth: more than any hash rate
	for i := range p.Agents {
		a := &p.Agents[i]
		for _, piece := range a.Pieces {
			n := m.add(piece.Slope*kilo, piece.Slope*kilo, piece.Watts/kilo)
			for b := a.Budget; b >= 0; b = p.Parent[b] {
				budgets[b].terms[n] = 1
			}
			pools[a.Pool].terms[n] = -1
			first = max(first, 2*piece.Slope*kilo)
		}
	}
	for i, floor := range p.Floor {
		if floor > 0 {
			pools[i].terms[m.add(first, 0, floor/kilo)] = 1
			m.rows = append(m.rows, pools[i])
		}
	}
	m.rows = append(m.rows, budgets...)
	return m
}

// add makes a variable from 0 to most.
func (m *program) add(gain, ths, most float64) int {
	n := m.columns
	m.columns++
	m.gain, m.ths = append(m.gain, gain), append(m.ths, ths)
	m.rows = append(m.rows, row{map[int]float64{n: 1}, most})
	return n
}
