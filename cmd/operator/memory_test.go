package main

import (
	"math"
	"runtime/debug"
	"strings"
	"testing"
)

func TestTheCollectorHeedsTheContainersLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for name, c := range map[string]struct {
		limit, env string
		want       int64
		err        string
	}{
		"in bytes, as the kubelet says it": {limit: "500000000", want: 400_000_000},
		"with a unit":                      {limit: "10Mi", want: 8 << 20},
		"none":                             {want: math.MaxInt64},
		"GOMEMLIMIT goes before it":        {limit: "10Mi", env: "1GiB", want: math.MaxInt64},
		"not to be read":                   {limit: "much", want: math.MaxInt64, err: `"much"`},
		"nothing":                          {limit: "0", want: math.MaxInt64, err: `"0"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", c.env)
			debug.SetMemoryLimit(math.MaxInt64)
			err := limitMemory(c.limit)
			if (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got error %v, want one that says %s", err, c.err)
			}
			if got := debug.SetMemoryLimit(-1); got != c.want {
				t.Errorf("limit is %d, want %d", got, c.want)
			}
		})
	}
}
