// Package whatsminer speaks WhatsMiner's two interfaces for simulated miners: API v2, plain and
// encrypted JSON on TCP 4028, and API v3, length-prefixed JSON on TCP 4433. A device speaks one of
// them. Shapes are those of the vendor's manual 2.2 and of recorded replies; what is assumed is
// listed in docs/simulator.md.
package whatsminer
