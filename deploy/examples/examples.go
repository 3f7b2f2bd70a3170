// Package examples carries the example catalogs, so that the demo runs the very file that the README shows.
package examples

import _ "embed"

// Ninernet is the catalog of a small hosting provider: ten servers in eight cities, as YAML.
//
//go:embed ninernet.yaml
var Ninernet []byte
