package cluster

import "time"

// wallClock dates the certificates: etcd and the API server check them against the real time.
var wallClock = time.Now
