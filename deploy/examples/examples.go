// Package examples embeds the example catalog, so that the demo runs the file that the manual and the packages refer
// to.
package examples

import _ "embed"

// Ninernet is the example catalog as YAML: ten servers of a small hosting provider in eight cities.
//
//go:embed ninernet.yaml
var Ninernet []byte
