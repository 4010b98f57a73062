// Package braiins speaks the Braiins OS REST interface (firmware 25.07 and later, "API 1.x") for
// simulated miners: logins, actions, power targets and reads, in the shapes recorded from
// machines. What is assumed where no recording exists is listed in docs/simulator.md.
package braiins
