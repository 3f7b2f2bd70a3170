//go:build !linux

package spool

func machineClock() Clock { return processClock() }
