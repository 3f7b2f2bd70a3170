// Package prometheus has alert rules for Prometheus, and tests them: promtool plays them on recorded series, and every
// metric that they and the dashboards of deploy/grafana name is one that a coordinator exports.
package prometheus
