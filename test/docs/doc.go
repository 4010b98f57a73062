// Package docs tests what the papers tell people to type: every block of commands is typed by a test or says why it is
// not, and what only reads is typed on a real API server that has the objects of which the papers speak.
package docs
