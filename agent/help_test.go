package main

import (
	"testing"

	"github.com/probemesh/probemesh/pkg/command/commandtest"
)

func TestHelp(t *testing.T) { commandtest.CheckHelp(t, newRootCommand) }
