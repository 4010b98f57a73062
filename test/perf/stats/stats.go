// Package stats holds the arithmetic of the benchmarks: percentiles of what was measured, nothing fitted.
package stats

import (
	"math"
	"slices"
)

// Percentile is the smallest measured value that at least p percent of all values do not exceed (the
// nearest rank, so always a value that was really seen); NaN of none.
func Percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Median is the 50th percentile.
func Median(values []float64) float64 { return Percentile(values, 50) }

// P99 is the 99th percentile.
func P99(values []float64) float64 { return Percentile(values, 99) }

// Mean is the average; NaN of none.
func Mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// GapPercent is how far got is below best, in percent of best; 0 where there is nothing to get.
func GapPercent(got, best float64) float64 {
	if best <= 0 {
		return 0
	}
	return (best - got) / best * 100
}
