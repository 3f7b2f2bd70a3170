// Package lab tells outages end to end: the built programs run as separate processes, each server in a network namespace of
// its own, and the story checks what the public API says of them. The tests need root and iproute2.
package lab
