// Package lab tests outages end to end. The built programs run as separate processes, each server in a network
// namespace of its own, joined by an emulated WAN with the delays between eight cities. A story is a timeline of faults
// and of what the mesh must report, and must never report. The tests need root; requireLab lists the programs that they
// need.
package lab
