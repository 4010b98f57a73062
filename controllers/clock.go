package controllers

import "time"

// wallClock is the clock of the running operator; tests hand in their own.
var wallClock = time.Now
