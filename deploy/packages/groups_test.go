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

// hierarchies are the directories of control groups that a machine lends to the systemd of a test.
type hierarchies []string

var (
	unified  = hierarchies{"."}                                                                                     // cgroup v2
	separate = hierarchies{"cpu", "cpuacct", "memory", "devices", "freezer", "blkio", "pids", "systemd", "unified"} // cgroup v1
)

// needed are the controllers that bound a service.
var needed = []string{"cpu", "memory", "pids"}

// controlGroups are what the machine lends to a systemd, or what it lacks for that.
func controlGroups() (h hierarchies, lacking string) {
	if os.Getuid() != 0 {
		return nil, "root"
	}
	if _, err := os.Stat(filepath.Join(groupsRoot, "cgroup.controllers")); err == nil {
		return unified, lackingUnified()
	}
	for _, name := range separate {
		if _, err := os.Stat(filepath.Join(groupsRoot, name, "cgroup.procs")); err != nil {
			return nil, "either cgroup v2 on " + groupsRoot + ", or every hierarchy of cgroup v1 mounted on its own there: " + err.Error()
		}
	}
	return separate, lackingSeparate()
}

// lackingUnified hands the controllers on from the root, as systemd does on most machines.
func lackingUnified() string {
	data, err := os.ReadFile(filepath.Join(groupsRoot, "cgroup.controllers"))
	if err != nil {
		return err.Error()
	}
	for _, name := range needed {
		if !slices.Contains(strings.Fields(string(data)), name) {
			return fmt.Sprintf("the controller %s in %s/cgroup.controllers, where there are: %s", name, groupsRoot, strings.TrimSpace(string(data)))
		}
	}
	err = os.WriteFile(filepath.Join(groupsRoot, "cgroup.subtree_control"), []byte("+"+strings.Join(needed, " +")), 0)
	if err != nil {
		return "to hand controllers on from " + groupsRoot + ", which a container may not where that is read-only or its own processes are in it: " + err.Error()
	}
	return ""
}

func lackingSeparate() string {
	for _, name := range separate {
		dir, err := os.MkdirTemp(filepath.Join(groupsRoot, name), "probemesh")
		if err != nil {
			return "control groups of cgroup v1 that it may make: " + err.Error()
		}
		_ = os.Remove(dir) // it is empty
	}
	return ""
}

// remove takes away what boot made. A process that was just killed may stay in its group for a moment.
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

// bound is the file with a bound of a group: its name differs by version, as do some of the hierarchies.
func (h hierarchies) bound(group, controller, unifiedName, separateName string) string {
	if slices.Equal(h, unified) {
		return filepath.Join(groupsRoot, group, controller+"."+unifiedName)
	}
	return filepath.Join(groupsRoot, controller, group, controller+"."+separateName)
}
