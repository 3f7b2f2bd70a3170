package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const groupsRoot = "/sys/fs/cgroup"

// hierarchies are the directories below groupsRoot that a systemd of a test uses.
type hierarchies []string

var (
	unified  = hierarchies{"."} // cgroup v2
	separate = hierarchies{     // cgroup v1
		"cpu", "cpuacct", "memory", "devices", "freezer", "blkio", "pids", "systemd", "unified",
	}
)

// needed are the controllers that enforce a unit's limits.
var needed = []string{"cpu", "memory", "pids"}

// controlGroups returns the hierarchies that a systemd of a test can use on this machine, or what is missing for that.
func controlGroups() (h hierarchies, lacking string) {
	if os.Getuid() != 0 {
		return nil, "root"
	}
	if _, err := os.Stat(filepath.Join(groupsRoot, "cgroup.controllers")); err == nil {
		return unified, lackingUnified()
	}
	for _, name := range separate {
		if _, err := os.Stat(filepath.Join(groupsRoot, name, "cgroup.procs")); err != nil {
			return nil, "cgroup v2 on " + groupsRoot + ", or each hierarchy of cgroup v1 mounted there: " + err.Error()
		}
	}
	return separate, lackingSeparate()
}

// lackingUnified delegates the controllers from the root group, as systemd does on most machines, and returns what
// prevents that.
func lackingUnified() string {
	data, err := os.ReadFile(filepath.Join(groupsRoot, "cgroup.controllers"))
	if err != nil {
		return err.Error()
	}
	for _, name := range needed {
		if !slices.Contains(strings.Fields(string(data)), name) {
			return fmt.Sprintf("the controller %s, which %s/cgroup.controllers lacks: %s", name, groupsRoot, data)
		}
	}
	err = os.WriteFile(filepath.Join(groupsRoot, "cgroup.subtree_control"), []byte("+"+strings.Join(needed, " +")), 0)
	if err != nil {
		return "to delegate controllers from " + groupsRoot +
			", which fails in a container if that is read-only or has processes of its own: " + err.Error()
	}
	return ""
}

// lackingSeparate returns why groups cannot be created in the hierarchies of cgroup v1.
func lackingSeparate() string {
	for _, name := range separate {
		dir, err := os.MkdirTemp(filepath.Join(groupsRoot, name), "probemesh")
		if err != nil {
			return "the right to create control groups of cgroup v1: " + err.Error()
		}
		_ = os.Remove(dir) // empty, so this succeeds
	}
	return ""
}

// remove removes the groups that boot created. It fails while a process that was just killed is still in one.
func (h hierarchies) remove(group string) (err error) {
	for _, name := range h {
		dir := filepath.Join(groupsRoot, name, group)
		if _, missing := os.Stat(dir); missing != nil {
			continue
		}
		if out, failed := exec.Command("find", dir, "-depth", "-type", "d", "-delete").CombinedOutput(); failed != nil {
			err = fmt.Errorf("%w: %s", failed, out)
		}
	}
	return err
}

// bound returns the file of a group's limit, whose name depends on the version of cgroups.
func (h hierarchies) bound(group, controller, unifiedName, separateName string) string {
	if slices.Equal(h, unified) {
		return filepath.Join(groupsRoot, group, controller+"."+unifiedName)
	}
	return filepath.Join(groupsRoot, controller, group, controller+"."+separateName)
}
